"""One style of progress for all long work: ``51/176 rec  5.1 rec/s  0:24 left``; live in a terminal, else lines."""

from __future__ import annotations

import functools
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskID, TextColumn

T = TypeVar("T")

LINE_EVERY_S = 10.0
"""Seconds between two lines where nobody looks at a terminal."""

_SHORT_S = 1.0  # work that is done before needs no line
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))

log = logging.getLogger(__name__)


@functools.cache
def console() -> Console:
    """What a terminal shows of lines and bars: stderr, whichever file that is at the time."""
    return Console(stderr=True)


def in_terminal() -> bool:
    """Whether somebody looks at a terminal."""
    return sys.stderr.isatty()


def terminal_handler() -> logging.Handler:
    """Lines of the log for a terminal, which do not run into a bar; paths and brackets are left as they are."""
    return RichHandler(
        console=console(),
        show_path=False,
        log_time_format="%H:%M:%S",
        omit_repeated_times=False,
        highlighter=NullHighlighter(),
        keywords=[],
    )


def time_words(seconds: float) -> str:
    """A span of time.

    >>> time_words(91), time_words(3725)
    ('1:31', '1:02:05')
    """
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def progress_words(done: float, total: float | None, unit: str, seconds: float, *, large: bool = False) -> str:
    """How far it is, how fast, and how long it takes.

    Args:
        done: what is done.
        total: of how much, None where nobody knows.
        unit: of what.
        seconds: spent so far.
        large: write thousands, millions and billions by prefixes.

    >>> progress_words(51, 176, "rec", 10)
    '51/176 rec  5.1 rec/s  0:25 left'
    >>> progress_words(233e6, 233e6, "B", 3, large=True)
    '233/233 MB  77.7 MB/s  0:03'
    """
    scale, prefix = next(((s, p) for s, p in _PREFIXES if large and (total or done) >= s), (1, ""))
    amount = f"{done / scale:.0f}" if total is None else f"{done / scale:.0f}/{total / scale:.0f}"
    rate = done / seconds if seconds > 0 else 0.0
    ahead = bool(total) and rate > 0 and done < (total or 0)
    span = f"{time_words(((total or 0) - done) / rate)} left" if ahead else time_words(seconds)
    return f"{amount} {prefix}{unit}  {_three_digits(rate / scale)} {prefix}{unit}/s  {span}"


def _three_digits(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"


class Bar:
    """A live bar with words behind it, below the lines of the log; a context.

    Args:
        title: what is being done.
        total: of the work, None where nobody knows.
    """

    def __init__(self, title: str, total: float | None) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            # Of 16 colours rich's own would be a red while all is well, and at the end the grey of what is not done.
            BarColumn(bar_width=20, complete_style="blue", finished_style="green"),
            TextColumn("{task.fields[words]}", style="cyan"),
            console=console(),
            refresh_per_second=5,
        )
        self._task: TaskID = self._bar.add_task(title, total=total, words="")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._bar.stop()

    def show(self, done: float, words: str, *, title: str | None = None, total: float | None = None) -> None:
        """Move the bar and say how it goes; ``title`` and ``total`` if it shows other work from now on."""
        self._bar.update(self._task, completed=done, words=words, description=title, total=total)


def track(
    items: Iterable[T],
    *,
    total: int | None = None,
    desc: str,
    unit: str = "it",
    amount: Callable[[T], int] | None = None,
) -> Iterator[T]:
    """Iterate and say how far it is, on stderr: a bar in a terminal, elsewhere a line now and then and at the end.

    Args:
        items: what to iterate over.
        total: number of items when ``len(items)`` is unknown.
        desc: what is being done, in a few words.
        unit: what an item is, or what ``amount`` counts.
        amount: how much an item counts for, where items differ in length; ``total`` is then the sum of these.
    """
    total = len(items) if total is None and isinstance(items, Sized) else total
    began = told = time.monotonic()
    done = told_of = 0

    def words() -> str:
        return progress_words(done, total, unit, time.monotonic() - began, large=amount is not None)

    if in_terminal():
        with Bar(desc, total) as bar:
            for item in items:
                yield item
                done += 1 if amount is None else amount(item)
                bar.show(done, words())
        return
    for item in items:
        yield item
        done += 1 if amount is None else amount(item)
        if (now := time.monotonic()) - told >= LINE_EVERY_S:
            told, told_of = now, done
            log.info("%s  %s", desc, words())
    if told_of != done and time.monotonic() - began >= _SHORT_S:
        log.info("%s  %s", desc, words())
