"""Commands that are killed with SIGKILL again and again, started again each time, and must end all the same."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from scripts import make_parser
from utils.atomic import write_text
from utils.errors import UserError
from utils.jobs.steps import Step, run_steps
from utils.progress import track
from utils.tables import table

REPOSITORY = Path(__file__).resolve().parents[2]
WORLD = ("world.height=128", "world.width=160", "world.duration_s=2.0", "world.num_train=2", "world.num_val=1")
TINY = (
    "dataset=synthetic", "+experiment/synthetic=demo", "dataset.sensor_hw=[128,160]", "dataset.sequence_length=4",
    "batch_size.train=2", "batch_size.eval=2", "logging.progress_bar=false", "logging.log_every_n_steps=1",
    "model.backbone.attention.drop_path=0.2", "dataset.augmentation.random.tflip=0.5",
)  # fmt: skip
POLL_S = 0.01
_STARTS = 0.15  # share of kills while the program starts
_LATEST_S = 0.25  # a kill comes so long after the work it waits for, at most


class Kill(NamedTuple):
    """One kill.

    Attributes:
        after_s: seconds since the start of the command.
        state: how far the run was.
    """

    after_s: float
    state: tuple[int | None, ...]


class SoakRun(ABC):
    """One run with its folder.

    Args:
        output: its folder; what killed commands say is appended to ``killed.log``.
        program: of the repository.
        settings: of it.
        result: file that proves the run is done.
    """

    heads: ClassVar[tuple[str, ...]]
    """What ``state`` tells, as heads of a table."""

    def __init__(self, output: Path, program: str, settings: Sequence[str], result: Path) -> None:
        self.output, self.result = output, result
        self.command = (sys.executable, str(REPOSITORY / program), *settings)

    @abstractmethod
    def work(self) -> int:
        """Amount of work that is done."""

    @abstractmethod
    def state(self) -> tuple[int | None, ...]:
        """How far the run is."""

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command."""
        self.output.mkdir(parents=True, exist_ok=True)
        with open(self.output / "killed.log", "ab") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def finish(self) -> float:
        """Run to the end; returns its seconds, 0 if nothing was left to do.

        Raises:
            UserError: it failed; the log's end is in the message.
        """
        step = Step("whole", self.command, self.result)
        return run_steps([step], log_dir=self.output, parallel=1).get(step.name, 0.0)

    def kill(self, target: int, delay_s: float) -> Kill | None:
        """Start the command and kill it.

        Args:
            target: after so much work; 0: while the program starts.
            delay_s: ... and so many seconds.

        Returns:
            The kill, or None when the run ended before.
        """
        process, began = self.start(), time.monotonic()
        while process.poll() is None and self.work() < target:
            time.sleep(POLL_S)
        time.sleep(delay_s)
        if process.poll() is not None:
            return None
        process.kill()
        process.wait()
        return Kill(time.monotonic() - began, self.state())


def soak(run: SoakRun, kills: int, work: int, seed: int, startup_s: float, latest_s: float | None = None) -> list[Kill]:
    """Kill a run ``kills`` times, at random moments spread over its work, then let it end.

    Args:
        run: not begun.
        kills: how often.
        work: of the whole run.
        seed: of the moments.
        startup_s: a kill while the program starts comes within so many seconds.
        latest_s: ... and another within so many after the work it waits for.
    """
    rng, last = random.Random(seed), work - 2
    latest_s = _LATEST_S if latest_s is None else latest_s
    done: list[Kill] = []
    for left in track(range(kills, 0, -1), desc="kills"):
        before = run.work()  # only the command that starts now gets beyond it
        target = min(before + 1 + rng.randrange(max(1, (last - before) // left)), last)
        starting = rng.random() < _STARTS
        kill = run.kill(0 if starting else target, rng.uniform(0, startup_s if starting else latest_s))
        if kill is None:
            break
        done.append(kill)
    run.finish()
    return done


def kill_table(heads: Sequence[str], kills: Sequence[Kill], verdict: str) -> str:
    """The kills and what came of them, as Markdown."""
    rows = [
        (number, f"{kill.after_s:.2f}", *("the beginning" if found is None else found for found in kill.state))
        for number, kill in enumerate(kills, 1)
    ]
    lines = table(("kill", "seconds after start", *heads), rows)
    return "\n".join([*lines, "", f"{len(kills)} SIGKILLs. {verdict}", ""])


def build_parser(file: str, description: str | None, kills: int, program: str) -> argparse.ArgumentParser:
    """The options of all soak tests."""
    parser = make_parser(file, description)
    add = parser.add_argument
    add("--kills", type=int, default=kills, metavar="N", help=f"SIGKILLs (default: {kills})")
    add("--seed", type=int, default=0, metavar="N", help="of the moments (default: 0)")
    add("--processes", type=int, default=1, metavar="N", help="that work together (default: 1)")
    add("--output", type=Path, metavar="FOLDER", help="of data and runs (default: a temporary one)")
    add("--report", type=Path, metavar="FILE", help="write the tables to FILE too")
    add("overrides", nargs="*", help=f"further settings of all runs, as {program} takes them")
    return parser


def new_folder(args: argparse.Namespace) -> Path:
    """Where data and runs go, the latter into ``runs``.

    Raises:
        UserError: there are runs already.
    """
    folder = args.output or Path(tempfile.mkdtemp(prefix="soak-"))
    if (folder / "runs").exists():
        raise UserError(
            expected="a folder without earlier runs", got="one", where=str(folder), fix="give --output another"
        )
    return folder


def make_data(folder: Path) -> Path:
    """A tiny synthetic dataset; made once."""
    raw, dataset = folder / "raw", folder / "dataset"
    make, prepare = (str(REPOSITORY / "scripts" / name) for name in ("make_synthetic.py", "preprocess_dataset.py"))
    own = ("dataset=synthetic", f"raw_path={raw}", f"dataset.path={dataset}", "dataset.sensor_hw=[128,160]")
    commands = [
        Step("world", (sys.executable, make, f"raw_path={raw}", "seed=1", *WORLD), raw / "val"),
        Step("preprocess", (sys.executable, prepare, *own), dataset / "val", needs=("world",)),
    ]
    run_steps(commands, log_dir=folder / "steps", parallel=1)
    return dataset


def end(args: argparse.Namespace, text: str, passed: bool) -> None:
    """Print the report, write it where asked; exit status 1 unless all is as it should be."""
    if args.report is not None:
        write_text(args.report, text)
    sys.stdout.write(text)
    if not passed:
        sys.exit(1)
