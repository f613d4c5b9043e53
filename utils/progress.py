"""One progress bar for all long work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(
    items: Iterable[T],
    *,
    total: int | None = None,
    desc: str,
    unit: str = "it",
    amount: Callable[[T], int] | None = None,
) -> Iterator[T]:
    """Iterate with a progress bar (count, rate, ETA) on stderr; sparse lines when stderr is not a terminal.

    Args:
        items: what to iterate over.
        total: number of items when ``len(items)`` is unknown.
        desc: what is being done, in a few words.
        unit: what an item is, or what ``amount`` counts.
        amount: how much an item counts for, where items differ in length; ``total`` is then the sum of these.
    """
    interactive = sys.stderr.isatty()
    with tqdm(
        items,
        total=total,
        desc=desc,
        unit=unit,
        file=sys.stderr,
        mininterval=0.2 if interactive else 10.0,
        maxinterval=10.0 if interactive else 30.0,
        ascii=not interactive,
        dynamic_ncols=interactive,
        unit_scale=amount is not None,
    ) as bar:
        for item in items:
            yield item
            bar.update(1 if amount is None else amount(item))
