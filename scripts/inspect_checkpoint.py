"""What a checkpoint or weight file is, whether it loads, and the command that evaluates it. Nothing of it is run.

Files of this project tell their settings themselves. Published ones are known by their checksum: of these you also see
the figure that their authors state.

For example:
  python scripts/inspect_checkpoint.py rvt-s.ckpt
  python scripts/inspect_checkpoint.py checkpoint/*/best.ckpt
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from config.compose import compose
from models.registry import spec_of_section
from models.weights import load_tensors
from modules.weights.files import read_checkpoint
from modules.weights.known_files import KnownFile, has_state_space, known_file
from scripts import make_parser
from utils.commands.cli import run_command
from utils.errors import UserError

BY_CLASSES = {2: "gen1", 3: "gen4"}
"""Dataset that a detector of so many classes is most likely for, when nothing else tells it."""
PRESETS = {"RVT-T": "tiny", "RVT-S": "small", "RVT-B": "base", "RVT-S deep": "small-deep", "RVT-B deep": "base-deep"}
"""Of ``+experiment/<dataset>``, by the papers' names."""
S5 = "its memory is a state-space layer (S5), which no model of this project has"


def inspect(path: Path) -> dict[str, str]:
    """What there is to say of a file, in the order in which it is shown.

    Args:
        path: checkpoint of this project, weights of RVT or LEOD, or a plain state dict.

    Raises:
        UserError: it cannot be read as one of these.
    """
    if not path.is_file():
        raise UserError(expected="a checkpoint file", got="no such file", where=str(path), fix="check the path")
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    facts = {"file": f"{path}, {path.stat().st_size / 2**20:.1f} MiB, md5 {md5}"}
    content, state, own = read_checkpoint(path)
    return facts | (_published(path, md5, state) if own is None else _ours(path, content, own, state))


def _ours(path: Path, content: Mapping[str, Any], config: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict:
    """A checkpoint that holds its configuration."""
    model, dataset = config["model"], config["dataset"]
    spec, classes = spec_of_section(model), [str(name) for name in dataset["classes"]]
    facts = {
        "what": f"a checkpoint of this project at step {content.get('global_step', '?')}: {model['name']} "
        f"(family {spec.family}), trained on {dataset['name']}",
        "classes": ", ".join(classes),
        "sensor": "{} x {} pixels (height x width)".format(*dataset["sensor_hw"]),
    }
    if "averaging_state" in content:
        facts["averaging"] = "the weights are running means"
    facts["goes on"] = "yes, it holds optimiser and sampling" if "resume" in content else "no, weights only"
    return (
        facts | _loads(model, state, path) | {"evaluate": f"python val.py dataset={dataset['name']} checkpoint={path}"}
    )


def _published(path: Path, md5: str, state: Mapping[str, Tensor]) -> dict[str, str]:
    """A file that holds weights alone."""
    known = known_file(md5, path.name)
    spec = spec_of_section({})
    sizes = spec.describe_weights(state)
    facts = {"what": "weights without settings" if known is None else _as_published(known, md5)}
    if has_state_space(state):
        return facts | {"loads": f"no: {S5}; evaluate it with its authors' program"}
    dataset = known.dataset if known else BY_CLASSES.get(sizes.get("num_classes", 0))
    if dataset is None or "embed_dim" not in sizes:
        words = spec.weights_in_words(sizes, channels=True)
        fix = "give val.py the dataset and model that they were made for, see docs/MODELS.md"
        return facts | {"network": words, "loads": f"not known; {fix}"}
    model = compose([f"dataset={dataset}"], "val")["model"]
    facts |= _loads(spec.for_weights(model, state, str(path)), state, path)
    if known is None:
        size = PRESETS.get(spec.weights_in_words(sizes, channels=False).partition(" for ")[0])
        preset = "" if size is None else f" +experiment/{dataset}={size}"
        return facts | {
            "evaluate": f"python val.py dataset={dataset}{preset} checkpoint={path} (if that is its dataset: nothing "
            "in the file tells)"
        }
    stated = "not stated by its authors" if known.test_ap is None else f"test mAP {known.test_ap} %, as its authors say"
    return facts | {"evaluate": known.command(path), "expected": stated}


def _as_published(known: KnownFile, md5: str) -> str:
    sure = "by its checksum" if known.md5 and md5.startswith(known.md5) else "by its name alone"
    return f"{known.authors}'s {known.name} for {known.dataset}, known {sure}"


def _loads(section: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> dict[str, str]:
    """Build the network and put the weights in."""
    spec = spec_of_section(section)
    network = spec.build(section)
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    words = spec.weights_in_words(spec.describe_weights(state), channels=True)
    try:
        report = load_tensors(network, state, str(path))
    except UserError as error:
        loads = f"no: expected {error.expected}, got {error.got}"
    else:
        loads = f"yes, {len(report.loaded)} tensors"
    broken = sum(not bool(torch.isfinite(tensor).all()) for tensor in state.values() if tensor.is_floating_point())
    return {
        "network": f"{words}, {millions:.2f} M parameters",
        "loads": loads + (f"; {broken} of them hold numbers that are not finite" if broken else ""),
    }


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="checkpoint or weight file")
    return parser


def run(files: Sequence[Path]) -> None:
    """Show the facts of each file.

    Raises:
        UserError: a file cannot be read.
    """
    for number, path in enumerate(files):
        facts = inspect(path)
        width = max(map(len, facts)) + 2
        lines = [f"{name + ':':{width}}{text}\n" for name, text in facts.items()]
        sys.stdout.write(("\n" if number else "") + "".join(lines))


def main() -> None:
    """Entry point."""
    args = build_parser().parse_args()
    run_command(lambda: run(args.files))


if __name__ == "__main__":
    main()
