"""Kill labelling with SIGKILL at random moments, start it again each time, and compare every byte; and measure memory.

An undisturbed run of predict.py and one that is killed again and again (a random moment after a random amount of work,
or while the program starts) must end with the same files. Then the peak memory of fresh runs over more and more
sequences is measured, which must not grow.

For example:
  python scripts/soak/labelling.py --kills 10
  python scripts/soak/labelling.py --kills 10 --processes 2 --memory
  python scripts/soak/labelling.py --kills 0 --memory 4 8 16 32 64 --report REPORT.md --picture MEMORY.png
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.soak.report import Kill, kill_table, memory_table, save_picture
from scripts.soak.training import TINY, make_data
from utils.atomic import write_text
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.jobs.steps import Step, run_steps
from utils.progress import track

REPOSITORY = Path(__file__).resolve().parents[2]
LABELLER = (
    "model=pseudo_labeler", "tta.enable=true", "dataset.ratio=0.25", "model.pseudo_label.obj_thresh=0.01",
    "model.pseudo_label.cls_thresh=0.01",
)  # fmt: skip
POLL_S = 0.01
_STARTS = 0.15  # share of kills while the program starts
_LATEST_S = 0.25  # a kill comes so long after the work it waits for, at most


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="soak_labelling.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--kills", type=int, default=10, metavar="N", help="SIGKILLs (default: 10)")
    add("--sequences", type=int, default=None, metavar="N", help="to label (default: two per kill, at least 8)")
    add("--seed", type=int, default=0, metavar="N", help="of the moments (default: 0)")
    add("--processes", type=int, default=1, metavar="N", help="that label together (default: 1)")
    add("--memory", type=int, nargs="*", default=[4, 8, 16, 32], metavar="N", help="sequences (default: 4 8 16 32)")
    add("--dataset-path", type=Path, metavar="DATA", help="a synthetic dataset (default: a tiny one is made)")
    add("--output", type=Path, metavar="FOLDER", help="of data and runs (default: a temporary one)")
    add("--report", type=Path, metavar="FILE", help="write the tables to FILE too")
    add("--picture", type=Path, metavar="FILE.png", help="draw memory against the number of sequences")
    add("overrides", nargs="*", help="further settings of all runs, as predict.py takes them")
    return parser


def linked_dataset(source: Path, target: Path, count: int) -> Path:
    """A dataset of ``count`` training sequences, which are links to those of ``source`` in turn."""
    sequences = sorted(path for path in (source / "train").iterdir() if path.is_dir())
    (target / "train").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        link = target / "train" / f"{number:04d}"
        if not link.is_symlink():
            link.symlink_to(sequences[number % len(sequences)].resolve())
    for split in ("val", "test"):
        if (source / split).is_dir() and not (target / split).is_symlink():
            (target / split).symlink_to((source / split).resolve())
    return target


class Labelling:
    """One run with its folder.

    Args:
        output: its folder; labels go to ``output/labels``.
        settings: of predict.py.
    """

    def __init__(self, output: Path, settings: Sequence[str]) -> None:
        self.output, self.labels = output, output / "labels"
        program = str(REPOSITORY / "predict.py")
        self.command = (sys.executable, program, *settings, f"save_dir={self.labels / 'train'}")

    def finish(self) -> float:
        """Run to the end; returns its seconds.

        Raises:
            UserError: it failed; the log's end is in the message.
        """
        step = Step("labelling", self.command, self.labels / "summary.json")
        return run_steps([step], log_dir=self.output, parallel=1)["labelling"]

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command; what it says is appended to ``killed.log``."""
        self.output.mkdir(parents=True, exist_ok=True)
        with open(self.output / "killed.log", "ab") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def progress(self) -> tuple[int, int]:
        """Sequences that are finished, and that wait for the other direction of time."""
        split = self.labels / "train"
        finished = sum(not path.name.startswith(".") for path in split.glob("*"))
        return finished, sum(1 for _ in split.glob(".views/[!.]*"))

    def kill(self, target: int | None, delay_s: float) -> Kill | None:
        """Start the command and kill it.

        Args:
            target: after so much work (one per sequence and direction of time); None: while the program starts.
            delay_s: ... and so many seconds.

        Returns:
            The kill, or None when the run ended before.
        """
        process, began = self.start(), time.monotonic()
        while process.poll() is None and target is not None and _work(self.progress()) < target:
            time.sleep(POLL_S)
        time.sleep(delay_s)
        if process.poll() is not None:
            return None
        process.kill()
        process.wait()
        return Kill(time.monotonic() - began, *self.progress())

    def peak_mib(self) -> float:
        """Run to the end in a fresh process; returns its largest resident memory in MiB."""
        process = self.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise UserError(
                expected="labelling that ends well",
                got=f"exit status {process.returncode}",
                where=str(self.output / "killed.log"),
                fix="see this log",
            )
        return usage.ru_maxrss / 1024


def _work(progress: tuple[int, int]) -> int:
    finished, waiting = progress
    return 2 * finished + waiting


def soak(labelling: Labelling, kills: int, sequences: int, seed: int, whole_s: float) -> list[Kill]:
    """Kill a run ``kills`` times, then let it end.

    Args:
        labelling: the run.
        kills: how often.
        sequences: that it labels.
        seed: of the moments.
        whole_s: seconds of an undisturbed run; a kill while the program starts comes within half of them.
    """
    rng, total = random.Random(seed), 2 * sequences
    done: list[Kill] = []
    for left in track(range(kills, 0, -1), desc="kills"):
        before = _work(labelling.progress())
        target = min(before + 1 + rng.randrange(max(1, (total - 2 - before) // left)), total - 2)
        starting = rng.random() < _STARTS
        delay = rng.uniform(0, whole_s / 2 if starting else _LATEST_S)
        kill = labelling.kill(None if starting else target, delay)
        if kill is None:
            break
        done.append(kill)
    if not (labelling.labels / "summary.json").exists():
        labelling.finish()
    return done


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file and target of every link, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = str(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def make_teacher(folder: Path, dataset: Path, overrides: Sequence[str]) -> Path:
    """A detector of ten steps; made once."""
    more = ["training.max_steps=10", "hardware.num_workers.train=0", f"dataset.path={dataset}", *overrides]
    command = (sys.executable, str(REPOSITORY / "train.py"), *TINY, *more, f"output.dir={folder / 'teacher'}")
    step = Step("teacher", command, folder / "teacher" / "done.json")
    run_steps([step], log_dir=folder / "steps", parallel=1)
    return folder / "teacher" / "last.ckpt"


def main() -> None:
    """Kill, compare and measure; exit status 1 when a byte differs."""
    arguments = build_parser().parse_intermixed_args()
    if arguments.kills < 0 or min([arguments.sequences or 2, *arguments.memory, 2]) < 2:
        raise UserError(
            expected="kills from 0, sequences from 2",
            got="less",
            where="--kills, --sequences, --memory",
            fix="give more",
        )
    folder = arguments.output or Path(tempfile.mkdtemp(prefix="soak-labelling-"))
    if (folder / "runs").exists():
        raise UserError(
            expected="a folder without earlier runs", got="one", where=str(folder), fix="give --output another"
        )
    source = arguments.dataset_path or make_data(folder)
    teacher = make_teacher(folder, source, arguments.overrides)
    settings = [*TINY, *LABELLER, f"checkpoint={teacher}", *arguments.overrides]

    def labelling(name: str, count: int, processes: int) -> Labelling:
        dataset = linked_dataset(source, folder / f"dataset{count}", count)
        more = [f"dataset.path={dataset}", f"hardware.num_processes={processes}"]
        return Labelling(folder / "runs" / name, [*settings, *more])

    text, different, kills = "", [], []
    if arguments.kills:
        count = arguments.sequences or max(8, 2 * arguments.kills)
        undisturbed, killed = (labelling(name, count, arguments.processes) for name in ("undisturbed", "killed"))
        kills = soak(killed, arguments.kills, count, arguments.seed, undisturbed.finish())
        one, other = tree(undisturbed.labels), tree(killed.labels)
        different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        text += kill_table(kills, len(one), different)
    peaks = {count: labelling(f"memory{count}", count, 1).peak_mib() for count in sorted(set(arguments.memory))}
    if peaks:
        text += ("\n" if text else "") + memory_table(peaks)
        if arguments.picture is not None:
            save_picture(peaks, arguments.picture)
    if arguments.report is not None:
        write_text(arguments.report, text)
    print(text)
    if different or len(kills) < arguments.kills:
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
