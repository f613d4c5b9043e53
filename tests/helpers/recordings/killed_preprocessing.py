"""Kill preprocessing at random moments and start it again: ``killed_preprocessing.py FOLDER SEED``.

A program of its own, so that it can fork: every run is a child, killed when it has done a given number of writing
steps. Prints how many runs were killed; ends with an error if anything half-written is ever to be seen, if a process
outlives its killed parent, or if the end is not that of an undisturbed run.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from data.inspection.verify import verify_dataset
from data.preprocessing.dataset import preprocess_dataset
from data.sequences.record import file_sum, read_record
from data.sequences.writer import SequenceWriter
from tests.helpers.recordings.raw_recordings import config, content, make_raw

STEPS: list[tuple[Any, str]] = [
    (os, "fsync"), (os, "replace"), (os, "mkdir"), (SequenceWriter, "append_frames"),
    (SequenceWriter, "write_labels"), (SequenceWriter, "__exit__"),
]  # fmt: skip


def killed_after(steps: int) -> None:
    """Make this process kill itself before its ``steps``-th step of writing."""
    done = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **more: Any) -> Any:
            nonlocal done
            done += 1
            if done > steps:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **more)

        return step

    for owner, name in STEPS:
        setattr(owner, name, counted(getattr(owner, name)))


def run(raw: Path, out: Path, steps: int | None, workers: int = 0) -> int:
    """Start a run as a child, return its process id."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        if steps is not None:
            killed_after(steps)
        preprocess_dataset(raw, out, config(), workers)
        os._exit(0)
    return pid


def assert_whole(out: Path) -> None:
    """What is to be seen is complete."""
    for root in out.glob("*/[!.]*"):
        record = read_record(root)
        assert record is not None, f"{root} has no record"
        assert all(file_sum(root / name) == facts for name, facts in record["files"].items()), root


def processes_of(session: int) -> list[int]:
    """Processes that still run in a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # ended meanwhile
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def main(folder: Path, seed: int) -> None:
    """The whole test."""
    raw = make_raw(folder / "raw", per_split=3)
    preprocess_dataset(raw, folder / "whole", config())
    out, kills, rng = folder / "out", 0, np.random.default_rng(seed)
    while True:
        _, status = os.waitpid(run(raw, out, int(rng.integers(1, 70))), 0)
        assert_whole(out)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        kills += 1
    assert content(out) == content(folder / "whole"), "other bytes than an undisturbed run"
    verify_dataset(out, config())

    parallel = folder / "parallel"
    pid = run(raw, parallel, None, workers=2)
    while not list(parallel.glob("*/[!.]*")):
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    deadline = time.monotonic() + 30
    while processes_of(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_of(pid), "processes live on without their parent"
    assert_whole(parallel)
    preprocess_dataset(raw, parallel, config())
    assert content(parallel) == content(folder / "whole"), "other bytes than an undisturbed run"
    print(kills + 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
