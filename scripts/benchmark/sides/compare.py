"""Runs of two checkouts in turn, and what they say of each other."""

from __future__ import annotations

import json
import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from scripts.benchmark.sides.cases import Case
from utils.errors import UserError

log = logging.getLogger(__name__)

_RUNNER = Path(__file__).with_name("runner.py")
_REPOSITORY = Path(__file__).resolve().parents[3]
_DRAWS = 2000
_TAIL = 0.05
"""Share of the draws on each side of an interval."""


class CaseFailed(Exception):
    """A case did not run in a checkout."""


@dataclass
class Side:
    """What the runs of one case in one checkout took.

    Attributes:
        seconds: of each process; of the processors with one thread, by the clock with more.
        peaks: resident MiB of each process.
        answers: what came out.
    """

    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


@contextmanager
def checkout(name: str, folder: Path) -> Iterator[Path]:
    """A folder that is a checkout, or a revision of this repository in a worktree that goes afterwards.

    Args:
        name: the folder or the revision.
        folder: where the worktree goes.

    Raises:
        UserError: it is neither.
    """
    if Path(name).is_dir():
        if not (Path(name) / "train.py").is_file():
            raise _neither(name)
        yield Path(name).resolve()
        return
    git = ("git", "-C", str(_REPOSITORY))
    found = subprocess.run([*git, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"], capture_output=True)
    if found.returncode or name.startswith("-"):
        raise _neither(name)
    subprocess.run(
        [*git, "worktree", "add", "--detach", str(folder), found.stdout.decode().strip()],
        check=True,
        capture_output=True,
    )
    try:
        yield folder
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(folder)], check=True, capture_output=True)


def _neither(name: str) -> UserError:
    return UserError(
        expected="a checkout, or a revision of this repository",
        got=name,
        where="A and B",
        fix="name a folder with train.py, or a commit",
    )


def compare(
    case: Case, checkouts: Sequence[Path], folder: Path, threads: int, rounds: int, quick: bool
) -> tuple[Side, Side]:
    """Run a case in both checkouts in turn, A B, B A, and so on, each time in a fresh process.

    Args:
        case: what is run.
        checkouts: both.
        folder: for what the case needs; what is there already is used again.
        threads: of the CPU.
        rounds: processes of each.
        quick: toy sizes.

    Raises:
        CaseFailed: it does not run in one of them.
    """
    folders = [folder / side / case.spec.replace(":", "-") for side in "ab"]
    for where, own in zip(checkouts, folders, strict=True):
        if not own.exists():
            own.mkdir(parents=True)
            _start(where, "make", case, own, threads, quick)
            if case.whole and not quick:  # compiled files and caches are there from now on
                _start(where, "run", case, own, threads, quick)
    sides = Side(), Side()
    for number in range(rounds):
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            text, clock, busy = _start(checkouts[index], "run", case, folders[index], threads, quick)
            found = json.loads(text.splitlines()[-1])
            whole = {"clock": clock, "busy": busy} if case.whole else found
            sides[index].seconds.append(whole["busy" if threads == 1 else "clock"])
            sides[index].peaks.append(found["peak_mib"])
            sides[index].answers.append(found["answer"])
            log.info("%s, %s: %.3f s", case.title, "AB"[index], sides[index].seconds[-1])
    return sides


def _start(where: Path, what: str, case: Case, folder: Path, threads: int, quick: bool) -> tuple[str, float, float]:
    """Output of the runner, its seconds by the clock, and of the processors."""
    count = str(threads)
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), count)
    line = [sys.executable, str(_RUNNER), what, case.spec, str(folder), count]
    line += [str(1 if quick else case.calls), "quick" if quick else "full"]
    before, children = time.perf_counter(), os.times()
    done = subprocess.run(line, cwd=where, env=environment, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        raise CaseFailed(f"{case.title} in {where}: {done.stderr[-2000:] or done.stdout[-2000:]}")
    used = after.children_user + after.children_system - children.children_user - children.children_system
    return done.stdout, time.perf_counter() - before, used


def interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Ratio of the medians, second to first, and between which it lies in nine of ten draws from the runs.

    >>> interval([2.0, 2.0], [1.0, 1.0])
    (0.5, 0.5, 0.5)
    """
    rng = random.Random(0)
    draws = sorted(
        median(rng.choices(second, k=len(second))) / median(rng.choices(first, k=len(first))) for _ in range(_DRAWS)
    )
    edge = int(_TAIL * _DRAWS)
    return median(second) / median(first), draws[edge], draws[-1 - edge]
