"""Kill a training with SIGKILL at random moments, start it again each time, and compare it with an undisturbed one.

Both runs have the same command and must end with the same weights, optimiser and log, bit for bit on a CPU. A kill
comes a random moment after a random step, or while the program starts; loader processes and the further processes of
``--processes`` are not killed, but left to notice.

For example:
  python scripts/soak/training.py --kills 20
  python scripts/soak/training.py --kills 20 --processes 2 dataset.train.sampling=stream
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from modules.checkpoints.files import LAST, load_checkpoint_file
from modules.checkpoints.search import find_newest
from utils.atomic import write_text
from utils.commands.cli import run_command
from utils.commands.run_lock import LOCK
from utils.errors import UserError
from utils.jobs.steps import Step, run_steps
from utils.progress import track

REPOSITORY = Path(__file__).resolve().parents[2]
WORLD = ("world.height=128", "world.width=160", "world.duration_s=2.0", "world.num_train=2", "world.num_val=1")
TINY = (
    "dataset=synthetic", "+experiment/synthetic=demo", "dataset.sensor_hw=[128,160]", "dataset.sequence_length=4",
    "batch_size.train=2", "batch_size.eval=2", "logging.progress_bar=false", "logging.log_every_n_steps=1",
    "model.backbone.attention.drop_path=0.2", "dataset.augmentation.random.tflip=0.5",
)  # fmt: skip
POLL_S = 0.01
_STARTS = 0.15  # share of kills while the program starts


class Kill(NamedTuple):
    """One kill.

    Attributes:
        after_s: seconds since the start of the command.
        step: steps in the log at that moment.
        resumes_at: steps of the newest resume point then; None before the first one.
    """

    after_s: float
    step: int
    resumes_at: int | None


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="soak.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="SIGKILLs (default: 20)")
    parser.add_argument("--steps", type=int, default=None, metavar="N", help="training steps (default: 10 per kill)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default: 0)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="that train together (default: 1)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="loader processes of each (default: 2)")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="of data and runs (default: a temporary one)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the table to FILE too")
    parser.add_argument("overrides", nargs="*", help="further settings of both runs, as train.py takes them")
    return parser


def make_data(folder: Path) -> Path:
    """A tiny synthetic dataset; made once."""
    raw, dataset = folder / "raw", folder / "dataset"
    make, prepare = (str(REPOSITORY / "scripts" / name) for name in ("make_synthetic.py", "preprocess_dataset.py"))
    commands = [
        Step("world", (sys.executable, make, f"raw_path={raw}", "seed=1", *WORLD), raw / "val"),
        Step(
            "preprocess",
            (
                sys.executable, prepare, "dataset=synthetic", f"raw_path={raw}", f"dataset.path={dataset}",
                "dataset.sensor_hw=[128,160]",
            ),
            dataset / "val",
            needs=("world",),
        ),
    ]  # fmt: skip
    run_steps(commands, log_dir=folder / "steps", parallel=1)
    return dataset


class Training:
    """One run with its folder.

    Args:
        output: its folder.
        settings: of train.py.
    """

    def __init__(self, output: Path, settings: Sequence[str]) -> None:
        self.output = output
        self.command = [sys.executable, str(REPOSITORY / "train.py"), *settings, f"output.dir={output}"]

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command; what it says is appended to ``train.log``."""
        self.output.mkdir(parents=True, exist_ok=True)
        with open(self.output / "train.log", "ab") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def finish(self) -> float:
        """Run to the end; returns its seconds.

        Raises:
            UserError: it failed; the log's end is in the message.
        """
        began = time.monotonic()
        status = self.start().wait()
        if status != 0:
            tail = (self.output / "train.log").read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            raise UserError(
                expected="a training that ends well",
                got=f"exit status {status}; its log ends with\n" + "\n".join(tail),
                where=str(self.output / "train.log"),
                fix="mend the cause; the same command again begins anew in another folder",
            )
        return time.monotonic() - began

    def logged_step(self) -> int:
        """Steps that are in the log; 0 before the first."""
        try:
            with open(self.output / "logs" / "version_0" / "metrics.csv", newline="", encoding="utf-8") as handle:
                return 1 + max((int(row["step"]) for row in csv.DictReader(handle) if row.get("step")), default=-1)
        except (FileNotFoundError, ValueError):  # not there yet, or half a row
            return 0

    def kill(self, target: int | None, delay_s: float) -> Kill | None:
        """Start the command and kill it.

        Args:
            target: after so many steps; None: while the program starts.
            delay_s: ... and so many seconds.

        Returns:
            The kill, or None when the run ended before.
        """
        process, began = self.start(), time.monotonic()
        while process.poll() is None and target is not None and self._step_of(process) < target:
            time.sleep(POLL_S)
        time.sleep(delay_s)
        if process.poll() is not None:
            return None
        process.kill()
        process.wait()
        after = time.monotonic() - began
        found = find_newest(self.output, tidy=False)
        return Kill(after, self.logged_step(), None if found is None else int(found[1]["global_step"]))

    def _step_of(self, process: subprocess.Popen[bytes]) -> int:
        """Steps in the log once this process writes it; -1 before."""
        try:
            holder = (self.output / LOCK).read_text(encoding="utf-8")
        except FileNotFoundError:
            return -1
        return self.logged_step() if f'"pid": {process.pid},' in holder else -1


def soak(training: Training, kills: int, steps: int, seed: int, startup_s: float) -> list[Kill]:
    """Kill a run ``kills`` times, then let it end.

    Args:
        training: the run.
        kills: how often.
        steps: of the run.
        seed: of the moments.
        startup_s: seconds that the program takes to start.
    """
    rng = random.Random(seed)
    targets = sorted(rng.randrange(1, steps - 1) for _ in range(kills))
    done: list[Kill] = []
    for target in track(targets, desc="kills"):
        starting = rng.random() < _STARTS
        delay = rng.uniform(0, startup_s if starting else 0.5)
        kill = training.kill(None if starting else target, delay)
        if kill is None:
            break
        done.append(kill)
    training.finish()
    return done


def compare(one: Path, other: Path) -> dict[str, bool]:
    """Which parts of two finished runs are the same, bit for bit."""
    first, second = load_checkpoint_file(one / LAST), load_checkpoint_file(other / LAST)
    logs = [(folder / "logs" / "version_0" / "metrics.csv").read_bytes() for folder in (one, other)]
    same = {
        "weights": _equal(first["state_dict"], second["state_dict"]),
        "optimiser": _equal(first["optimizer_states"], second["optimizer_states"]),
        "states of all processes": _equal(first["resume"]["ranks"], second["resume"]["ranks"]),
    }
    return same | {"log": logs[0] == logs[1]}


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
    lines = ["| kill | seconds after start | steps logged | goes on from step |", "|---|---|---|---|"]
    for number, kill in enumerate(kills, 1):
        resumes = "the beginning" if kill.resumes_at is None else str(kill.resumes_at)
        lines.append(f"| {number} | {kill.after_s:.2f} | {kill.step} | {resumes} |")
    facts = ", ".join(f"{name}: {'yes' if equal else 'NO'}" for name, equal in same.items())
    lines += ["", f"{len(kills)} SIGKILLs. Identical to the undisturbed run? {facts}", "", f"`{' '.join(command)}`", ""]
    return "\n".join(lines)


def main() -> None:
    """Run both trainings and compare them; exit status 1 when they differ."""
    arguments = build_parser().parse_intermixed_args()
    if arguments.kills < 1 or (arguments.steps is not None and arguments.steps < 3):
        raise UserError(expected="kills from 1 and steps from 3", got="less", where="--kills, --steps", fix="give more")
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="soak-"))
    steps = arguments.steps or 10 * arguments.kills
    settings = [*TINY, f"hardware.num_processes={arguments.processes}"]
    settings += [f"hardware.num_workers.train={arguments.workers}", f"training.max_steps={steps}"]
    settings += [
        f"validation.val_check_interval={max(2, steps // 5)}",
        f"checkpointing.every_n_steps={max(1, steps // 20)}",
    ]
    settings += arguments.overrides
    if not any(override.startswith("dataset.path=") for override in settings):
        settings.append(f"dataset.path={make_data(folder)}")
    undisturbed, killed = (Training(folder / name, settings) for name in ("undisturbed", "killed"))
    for training in (undisturbed, killed):
        if training.output.exists():
            raise UserError(
                expected="a folder without earlier runs",
                got="one",
                where=str(training.output),
                fix="give --output another",
            )
    began = time.time()
    undisturbed.finish()
    startup_s = (undisturbed.output / "config.yaml").stat().st_mtime - began
    kills = soak(killed, arguments.kills, steps, arguments.seed, startup_s)
    same = compare(undisturbed.output, killed.output)
    text = report(kills, same, ["python", "train.py", *settings])
    if arguments.report is not None:
        write_text(arguments.report, text)
    sys.stdout.write(text)
    if not all(same.values()) or len(kills) < arguments.kills:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
