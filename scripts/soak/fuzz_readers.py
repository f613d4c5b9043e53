"""Read files that are a little wrong: each must be read or answered with a message, never with a traceback.

Every reader gets its sound file with one to three edits at random, again and again. What it says to each is counted;
exit status 1 if there was a traceback or one took too long.
"""

from __future__ import annotations

import argparse
import faulthandler
import fnmatch
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import check_least, count, make_parser, positive
from scripts.soak.mutations import mutate
from scripts.soak.readers import READERS
from scripts.soak.readers.reader import Reader
from scripts.soak.runs import end
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.progress import track
from utils.tables import table

_HARD = 4
"""After so many time limits the process itself is ended: what does not come back to Python cannot be told to stop."""
_SHOWN = 20
READ, MESSAGE, TRACEBACK, TOO_LONG = "read", "message", "traceback", "too long"
OUTCOMES: tuple[str, ...] = (READ, MESSAGE, TRACEBACK, TOO_LONG)


class Tally:
    """What became of the mutants of a reader.

    Attributes:
        counts: read (perhaps with something left out), message, traceback (or the end of the process) and too long.
        troubles: what the last two were, each with the number of the mutant.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.troubles: list[str] = []

    def note(self, outcome: str, trouble: str) -> None:
        """Count a mutant."""
        self.counts[outcome] += 1
        self.troubles += [trouble] if trouble else []


class TooLong(BaseException):
    """A reader took more than its time."""


def fuzz(reader: Reader, mutants: int, seed: int, limit_s: float) -> Tally:
    """Let a reader read mutants of its file, in a process of its own, which a library may end.

    Args:
        reader: the reader; it must be able to read the sound file.
        mutants: how many.
        seed: of the edits; a mutant depends on it, the reader and its own number only.
        limit_s: seconds for each.
    """
    tally, number = Tally(), 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        sound, folder = Path(name, "sound"), Path(name, "mutant")
        sound.mkdir()
        file = reader.write(sound).relative_to(sound)
        data = (sound / file).read_bytes()
        reader.read(_copy(sound, folder) / file)

        def answer(which: int) -> tuple[str, str]:
            path = _copy(sound, folder) / file
            path.unlink()
            path.write_bytes(mutate(data, random.Random(f"{seed} {reader.name} {which}")))
            return _meet(reader, path, limit_s)

        while number < mutants:
            for kind, text in _in_a_child(answer, range(number, mutants)):
                tally.note(kind, text and f"{reader.name}, mutant {number}: {text}")
                number += 1
    return tally


def _in_a_child(answer: Callable[[int], tuple[str, str]], numbers: Iterable[int]) -> Iterator[tuple[str, str]]:
    """Answers of a forked process, up to the one at which it ends early, which counts as a traceback."""
    there, here = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(here, "w") as pipe:
                for number in numbers:
                    pipe.write(json.dumps(answer(number)) + "\n")
                    pipe.flush()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(here)
    with os.fdopen(there) as pipe:
        yield from (tuple(json.loads(line)) for line in pipe)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        yield TRACEBACK, f"the process ended: {signal.strsignal(-status) if status < 0 else f'status {status}'}"


def _copy(sound: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    return folder


def _meet(reader: Reader, path: Path, limit_s: float) -> tuple[str, str]:
    """What becomes of a mutant, and what to tell of it."""
    try:
        with _limited(limit_s):
            reader.read(path)
    except UserError:
        return MESSAGE, ""
    except TooLong:
        return TOO_LONG, f"more than {limit_s:g} s"
    except Exception as error:  # this is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:120]
        return TRACEBACK, f"{type(error).__name__}: {text} ({Path(last.filename).name}:{last.lineno})"
    return READ, ""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(_HARD * seconds, file=2, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what readers say of files that they read all the same."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def chosen(patterns: list[str]) -> list[Reader]:
    """Readers by their names.

    Raises:
        UserError: a pattern that no name fits.
    """
    names = [reader.name for reader in READERS]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UserError(expected=", ".join(names), got=pattern, where="--readers", fix="name some of them")
    return [reader for reader in READERS if any(fnmatch.fnmatch(reader.name, pattern) for pattern in patterns)]


def report(tallies: dict[str, Tally]) -> str:
    """The counts, and the first troubles of each reader, as Markdown."""
    counts = {name: list(tally.counts.values()) for name, tally in tallies.items()}
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    rows = [(name, sum(each), *each) for name, each in counts.items()]
    troubles = [f"- {trouble}" for tally in tallies.values() for trouble in tally.troubles[:_SHOWN]]
    return "\n".join([*table(("reader", "mutants", *OUTCOMES), rows, right=range(1, 6)), "", *troubles, ""])


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = make_parser(__file__, __doc__)
    add = parser.add_argument
    add("--readers", nargs="+", default=["*"], metavar="NAME", help="such as json/* labels/* (default: all)")
    add("--mutants", type=count, default=100, metavar="N", help="of each reader's file (default: 100)")
    add("--seed", type=int, default=0, metavar="N", help="of the edits (default: 0)")
    add("--limit", type=positive, default=10.0, metavar="S", help="seconds for one file (default: 10)")
    add("--report", type=Path, metavar="FILE", help="write the table to FILE too")
    return parser.parse_args()


def main() -> None:
    """Fuzz the chosen readers; exit status 1 if one gave a traceback or took too long."""
    args = arguments()
    check_least(args, seed=0)
    with _quiet():
        tallies = {
            reader.name: fuzz(reader, args.mutants, args.seed, args.limit)
            for reader in track(chosen(args.readers), desc="readers", unit="reader")
        }
    end(args, report(tallies), not any(tally.troubles for tally in tallies.values()))


if __name__ == "__main__":
    run_command(main)
