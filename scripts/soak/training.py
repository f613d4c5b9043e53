"""Kill a training with SIGKILL at random moments, start it again each time, and compare it with an undisturbed one.

Both runs have the same command and must end with the same weights, optimiser and log, bit for bit on a CPU. A kill
comes a random moment after a random step, or while the program starts; loader processes and the further processes of
``--processes`` are not killed, but left to notice.

For example:
  python scripts/soak/training.py --kills 20
  python scripts/soak/training.py --kills 20 --processes 2 dataset.train.sampling=stream
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from modules.checkpoints.files import LAST, load_checkpoint_file
from modules.checkpoints.search import find_newest
from scripts import check_least
from scripts.soak.runs import TINY, Kill, SoakRun, build_parser, end, kill_table, make_data, new_folder, soak
from utils.commands.cli import run_command

METRICS = Path("logs", "version_0", "metrics.csv")


class Training(SoakRun):
    """A run of train.py; its state is the steps in the log, and those of the newest resume point, None before one."""

    heads = ("steps logged", "goes on from step")

    def __init__(self, output: Path, settings: Sequence[str]) -> None:
        super().__init__(output, "train.py", [*settings, f"output.dir={output}"], output / "done.json")

    def work(self) -> int:
        """Steps that are in the log; 0 before the first."""
        try:
            with open(self.output / METRICS, newline="", encoding="utf-8") as handle:
                return 1 + max((int(row["step"]) for row in csv.DictReader(handle) if row.get("step")), default=-1)
        except (FileNotFoundError, ValueError):  # not there yet, or half a row
            return 0

    def state(self) -> tuple[int | None, ...]:
        """Steps in the log and of the newest resume point."""
        found = find_newest(self.output, tidy=False)
        return self.work(), None if found is None else int(found[1]["global_step"])


def compare(one: Path, other: Path) -> dict[str, bool]:
    """Which parts of two finished runs are the same, bit for bit."""
    first, second = load_checkpoint_file(one / LAST), load_checkpoint_file(other / LAST)
    same = {
        "weights": _equal(first["state_dict"], second["state_dict"]),
        "optimiser": _equal(first["optimizer_states"], second["optimizer_states"]),
        "states of all processes": _equal(first["resume"]["ranks"], second["resume"]["ranks"]),
    }
    return same | {"log": (one / METRICS).read_bytes() == (other / METRICS).read_bytes()}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_equal(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)


def report(kills: Sequence[Kill], same: dict[str, bool], command: Sequence[str]) -> str:
    """The table, as Markdown."""
    facts = ", ".join(f"{name}: {'yes' if equal else 'NO'}" for name, equal in same.items())
    verdict = f"Identical to the undisturbed run? {facts}"
    return kill_table(Training.heads, kills, verdict) + f"\n`{' '.join(command)}`\n"


def main() -> None:
    """Run both trainings and compare them; exit status 1 when they differ."""
    parser = build_parser(__file__, __doc__, 20, "train.py")
    parser.add_argument("--steps", type=int, default=None, metavar="N", help="training steps (default: 10 per kill)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="loader processes of each (default: 2)")
    args = parser.parse_intermixed_args()
    check_least(args, kills=1, steps=3)
    folder, steps = new_folder(args), args.steps or 10 * args.kills
    settings = [
        *TINY, f"hardware.num_processes={args.processes}", f"hardware.num_workers.train={args.workers}",
        f"training.max_steps={steps}", f"validation.val_check_interval={max(2, steps // 5)}",
        f"checkpointing.every_n_steps={max(1, steps // 20)}", *args.overrides,
    ]  # fmt: skip
    if not any(override.startswith("dataset.path=") for override in settings):
        settings.append(f"dataset.path={make_data(folder)}")
    undisturbed, killed = (Training(folder / "runs" / name, settings) for name in ("undisturbed", "killed"))
    began = time.time()
    undisturbed.finish()
    startup_s = (undisturbed.output / "config.yaml").stat().st_mtime - began
    kills = soak(killed, args.kills, steps, args.seed, startup_s)
    same = compare(undisturbed.output, killed.output)
    text = report(kills, same, ["python", "train.py", *settings])
    end(args, text, all(same.values()) and len(kills) == args.kills)


if __name__ == "__main__":
    run_command(main)
