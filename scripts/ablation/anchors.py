r"""What soft anchors can do for a training: what pseudo labels tell each anchor, against the hidden labels.

Counts, over frames with pseudo labels whose true labels are hidden, the anchors that the true labels would give an
object, and what becomes of them: found by a pseudo box, freed (near an ignored box, so that they are not trained), or
taken for background; for every way to use boxes that are not sure.

For example:
  python scripts/ablation/anchors.py --checkpoint RUN/last.ckpt --labels RUNS/labels --source DATA \
    --ignore-thresholds 0.6 0.6
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import check_least, make_parser
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.tables import table


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__file__, __doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, metavar="FILE", help="of a detector of the project's first kind")
    add("--labels", type=Path, required=True, metavar="FOLDER", help="pseudo-label dataset")
    add("--source", type=Path, required=True, metavar="FOLDER", help="the dataset it was made from, with all labels")
    add(
        "--ignore-thresholds",
        type=float,
        nargs="+",
        required=True,
        metavar="X",
        help="of soft anchors: one, or one per class",
    )
    add("--batches", type=int, default=100, metavar="N", help="chunks of frames to look at (default: 100)")
    return parser


def main() -> None:
    """Print a table for all classes and for each one."""
    arguments = build_parser().parse_args()
    check_least(arguments, batches=1)
    from models.detection.rnndet.detector import YoloXDetector
    from models.weights import load_tensors
    from modules.detection import Module
    from modules.label_quality.anchors import count_dataset
    from modules.live.streaming_detector import read_network
    from modules.utils.fetch import fetch_data_module
    from utils.thresholds import per_class

    config, state = read_network(arguments.checkpoint, None)
    given, classes = arguments.ignore_thresholds, config["dataset"]["classes"]
    least = per_class(given if given[1:] else given[0], range(len(classes)), "--ignore-thresholds", classes)
    config["model"]["head"]["ignore_bbox_thresh"] = list(least)
    module = Module(config)
    if not isinstance(module.mdl, YoloXDetector):
        raise UserError(
            expected="a detector with the anchors of YOLOX",
            got=f"family {module.mdl.family}",
            where=f"--checkpoint {arguments.checkpoint}",
            fix="give a checkpoint of model=rnndet or one like it",
        )
    load_tensors(module.mdl, state, where=str(arguments.checkpoint))
    source, labels = (fetch_data_module(_all_labels_of(config, at)) for at in (arguments.source, arguments.labels))
    sequences = {sequence.name: sequence for sequence in labels.sequences("train")}
    frames, counts = count_dataset(module, source.predict_dataloader(), sequences, arguments.batches)
    if not frames:
        raise UserError(
            expected="frames with pseudo labels and hidden true labels",
            got="none",
            where=f"--labels {arguments.labels} --source {arguments.source}",
            fix="give the dataset that the labels were made from, with all its labels, or more --batches",
        )
    first = next(iter(counts.values()))
    per_frame = float(first.objects.sum()) / max(frames, 1)
    print(f"{frames} frames, {per_frame:.1f} anchors on objects a frame of {int(first.anchors) // max(frames, 1)}")
    for class_id, name in [(None, "all"), *enumerate(config["dataset"]["classes"])]:
        rows = [
            (way, *(f"{100 * value:.1f}" for value in one.shares(class_id).values())) for way, one in counts.items()
        ]
        print("\n".join(["", *table((f"{name}, per cent", *first.shares()), rows)]))
    rows = [
        (way, f"{100 * float(one.ignored / one.anchors):.2f}", f"{100 * one.purity:.1f}") for way, one in counts.items()
    ]
    print("\n".join(["", *table(("of all anchors, per cent", "ignored", "... of which on objects"), rows)]))


def _all_labels_of(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    shown = {"path": str(folder), "ratio": None, "train_ratio": None, "split_file": None}
    return {**config, "dataset": {**config["dataset"], **shown}}


if __name__ == "__main__":
    run_command(main)
