"""One progress bar for all long work."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], *, total: int | None = None, desc: str, unit: str = "it") -> Iterator[T]:
    """Iterate with a progress bar (count, rate, ETA) on stderr; sparse lines when stderr is not a terminal.

    Args:
        items: what to iterate over.
        total: number of items when ``len(items)`` is unknown.
        desc: what is being done, in a few words.
        unit: what an item is.
    """
    interactive = sys.stderr.isatty()
    yield from tqdm(
        items,
        total=total,
        desc=desc,
        unit=unit,
        file=sys.stderr,
        mininterval=0.2 if interactive else 10.0,
        maxinterval=10.0 if interactive else 30.0,
        ascii=not interactive,
        dynamic_ncols=interactive,
    )
