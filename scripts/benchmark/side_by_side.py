"""Two checkouts side by side: the same cases by the code of each, in fresh processes, in turn, as ratios B / A.

A and B are folders, or revisions of this repository, for which worktrees are made and removed. With one thread seconds
are those of the processors, which other programs disturb less; with more they are by the clock. A ratio below 1 says
that B takes less; behind it stands between which ratios nine of ten draws from the runs lie.

For example:
  python scripts/benchmark/side_by_side.py v0.1.0 . --markdown docs/BENCHMARKS.md
  python scripts/benchmark/side_by_side.py main . --cases evaluation-20k "start-*" --rounds 5 --threads 1
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from scripts import make_parser
from scripts.benchmark import command
from scripts.benchmark.measure import device_name, in_words, machine_load
from scripts.benchmark.sides.cases import CASES
from scripts.benchmark.sides.compare import CaseFailed, Side, checkout, compare, interval
from utils.errors import UserError
from utils.tables import table

log = logging.getLogger(__name__)

_HEADS = ("case", "threads", "A s", "B s", "B / A", "A MiB", "B MiB", "B / A", "answers")


def chosen(patterns: Sequence[str]) -> list[str]:
    """Names of the cases that are wanted.

    Raises:
        UserError: there is none of a name.
    """
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in CASES):
            raise UserError(expected=", ".join(CASES), got=pattern, where="--cases", fix="correct the name")
    return [name for name in CASES if any(fnmatch(name, pattern) for pattern in patterns)]


def row(title: str, threads: int, sides: tuple[Side, Side]) -> tuple[str, ...]:
    """Cells of a case."""
    first, second = sides
    ratio, low, high = interval(first.seconds, second.seconds)
    peaks = median(first.peaks), median(second.peaks)
    same = all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(first.answers, second.answers, strict=True))
    return (
        title,
        str(threads),
        *(f"{median(side.seconds):.3g} [{min(side.seconds):.3g} to {max(side.seconds):.3g}]" for side in sides),
        f"**{ratio:.2f}** [{low:.2f} to {high:.2f}]",
        *(f"{peak:.0f}" for peak in peaks),
        f"{peaks[1] / peaks[0]:.2f}",
        "equal" if same else f"{first.answers[-1]:g}, {second.answers[-1]:g}",
    )


def run(args: argparse.Namespace) -> str:
    """Measure and give the report in Markdown.

    Raises:
        UserError: a mistake on the command line.
    """
    names, rounds = chosen(args.cases), 1 if args.quick else args.rounds
    before, rows = machine_load(), []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="side_by_side_")))
        places = [
            stack.enter_context(checkout(args.a, folder / "A")),
            stack.enter_context(checkout(args.b, folder / "B")),
        ]
        for name in names:
            for threads in args.threads:
                try:
                    sides = compare(CASES[name], places, folder / "made", threads, rounds, args.quick)
                except CaseFailed as error:  # hours of other cases are not lost by it
                    log.error("%s", error)
                    rows.append((CASES[name].title, str(threads), *["-"] * (len(_HEADS) - 3), "failed"))
                else:
                    rows.append(row(CASES[name].title, threads, sides))
    facts = {
        "A": args.a,
        "B": args.b,
        "device": device_name(torch.device("cpu")),
        "torch": torch.__version__,
        "runs": f"{rounds} processes of each, in turn, medians [least to most]",
        "seconds": "of the processors with one thread, by the clock with more",
        "load of the machine": f"{before['load of the machine']} before, {machine_load()['load of the machine']} after",
    }
    return "\n".join(["## Side by side", "", in_words(facts), "", *table(_HEADS, rows, right=range(1, len(_HEADS)))])


def main() -> None:
    """Entry point."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("a", metavar="A", help="what is compared with: a folder or a revision")
    parser.add_argument("b", metavar="B", help="what is compared: a folder or a revision")
    parser.add_argument(
        "--cases", nargs="+", default=["*"], help=f"names or patterns (default: all): {', '.join(CASES)}"
    )
    parser.add_argument("--rounds", type=int, default=5, help="processes of each side and case (default: 5)")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="of the CPU, each for itself (default: 1 2)"
    )
    parser.add_argument("--quick", action="store_true", help="toy sizes, one round: shows that all of it works")
    command.main("side_by_side", parser, run, rounds=1, threads=1)


if __name__ == "__main__":
    main()
