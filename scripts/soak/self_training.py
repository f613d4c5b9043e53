"""Kill rounds of self-training with SIGKILL at random moments, start them again each time, and compare the summaries.

An undisturbed run of self_train.py and one that is killed again and again must end with the same figures, and no
process may be left of a killed one: the steps under way are killed with it, and the same command goes on at once.

For example:
  python scripts/soak/self_training.py --kills 20
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import check_least
from scripts.soak.runs import TINY, Kill, SoakRun, build_parser, end, kill_table, make_data, new_folder, soak
from utils.commands.cli import run_command

ROUNDS = (
    "experiment_name=synthetic/demo", "rounds=2", "supervised.steps=20", "supervised.learning_rate=0.005",
    "self_training.steps=4", "control=false", "oracle=false", "evaluation.splits=[val]", "labels.train_ratio=null",
    "labels.ratio=0.25",
    "labelling.overrides=['model.pseudo_label.obj_thresh=0.005','model.pseudo_label.cls_thresh=0.005']",
)  # fmt: skip
_GOING_S = 10.0  # loader processes notice within seconds that their parent is gone


class Rounds(SoakRun):
    """A run of self_train.py; its state is the steps that are finished."""

    heads = ("steps finished",)

    def __init__(self, output: Path, settings: Sequence[str]) -> None:
        super().__init__(output, "scripts/self_train.py", [*settings, f"root={output}"], output / "summary.json")
        self.left: list[str] = []
        """Processes that lived on without their program."""

    def work(self) -> int:
        """Steps begun, and trainings that got beyond their data, and steps finished."""
        begun = sum(1 for pattern in ("logs/*.log", "*/config.yaml") for _ in self.output.glob(pattern))
        return begun + self.state()[0]

    def state(self) -> tuple[int]:
        """Steps that are finished."""
        results = ("*/done.json", "*_labels/summary.json", "evaluation/*.json")
        return (sum(1 for pattern in results for _ in self.output.glob(pattern)),)

    def kill(self, target: int, delay_s: float) -> Kill | None:
        """Start the command, kill it, and see who is left."""
        kill, until = super().kill(target, delay_s), time.monotonic() + _GOING_S
        while (left := running(str(self.output))) and time.monotonic() < until:
            time.sleep(0.05)
        self.left += left if kill is not None else []
        return kill

    def figures(self) -> dict[str, Any]:
        """What the summary says, but for its seconds and places."""
        text = self.result.read_text(encoding="utf-8").replace(str(self.output), "ROOT")
        return {key: value for key, value in json.loads(text).items() if key != "seconds"}


def running(words: str) -> list[str]:
    """Commands of other processes that have these words among theirs."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # ended meanwhile
            continue
        if words in command and int(folder.name) != os.getpid():
            found.append(f"{folder.name}: {command.strip()}")
    return found


def report(kills: Sequence[Kill], same: bool, left: Sequence[str]) -> str:
    """The kills and what came of them, as Markdown."""
    verdict = f"The summary of the undisturbed run? {'yes' if same else 'NO'}. "
    verdict += f"Processes left behind: {'; '.join(left[:5]) if left else 'none'}."
    return kill_table(Rounds.heads, kills, verdict)


def main() -> None:
    """Kill and compare; exit status 1 when the summaries differ or a process was left."""
    parser = build_parser(__file__, __doc__, 20, "self_train.py")
    parser.add_argument("--dataset-path", type=Path, metavar="DATA", help="a synthetic dataset (default: a tiny one)")
    args = parser.parse_intermixed_args()
    check_least(args, kills=1)
    folder = new_folder(args)
    dataset = args.dataset_path or make_data(folder)
    common = [text for text in TINY if not text.startswith(("dataset=", "+experiment"))]
    common += [f"hardware.num_processes={args.processes}", "hardware.num_workers.train=1"]
    quoted = ",".join(f"'{text}'" for text in common)
    settings = [*ROUNDS, f"dataset_path={dataset}", f"overrides=[{quoted}]", *args.overrides]
    undisturbed, killed = (Rounds(folder / "runs" / name, settings) for name in ("undisturbed", "killed"))
    seconds, work = undisturbed.finish(), undisturbed.work()
    share_s = seconds / work
    kills = soak(killed, args.kills, work, args.seed, share_s, latest_s=share_s)
    same = undisturbed.figures() == killed.figures()
    text = report(kills, same, killed.left)
    end(args, text, same and not killed.left and len(kills) == args.kills)


if __name__ == "__main__":
    run_command(main)
