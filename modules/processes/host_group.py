"""What processes say to each other outside the training step: over gloo, from host memory, with patience.

NCCL's time-out is for a step, in which all processes do the same. The first one may evaluate for longer than that, and
shares of labelling differ by hours. Who waits here for a process that died is ended by the launcher.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

PATIENCE = timedelta(days=7)

_made: list[tuple[Any, Any]] = []


def several() -> bool:
    """Whether this process is one of several."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def host_group() -> Any:
    """The gloo group of all processes; None if there is one process. The first call makes it and is collective."""
    if not several():
        return None
    everyone = dist.group.WORLD
    if not _made or _made[0][0] is not everyone:  # processes of an earlier run of this very process are gone
        _made[:] = [(everyone, dist.new_group(backend="gloo", timeout=PATIENCE))]
    return _made[0][1]


def host_barrier() -> None:
    """Return when every process has called it, however long that takes."""
    if several():
        dist.barrier(group=host_group())


def largest_of_all(values: list[int]) -> list[int]:
    """The largest of all processes' values, place by place; collective."""
    if not several():
        return values
    shared = torch.tensor(values)
    dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=host_group())
    return [int(value) for value in shared]


class SharedFlags:
    """Numbers that processes compare after every backward pass: all of them in one message.

    >>> flags = SharedFlags()
    >>> flags.watch("stop", lambda: 3)
    >>> flags.compare(), flags.largest("stop")
    (None, 3)
    """

    def __init__(self) -> None:
        self._asked: dict[str, Callable[[], int]] = {}
        self._largest: dict[str, int] = {}

    def watch(self, name: str, ask: Callable[[], int]) -> None:
        """Compare what ``ask`` gives, under a name; in the same order on all processes."""
        self._asked[name] = ask

    def compare(self) -> None:
        """Ask, and tell all processes the largest answers; collective."""
        answers = largest_of_all([int(ask()) for ask in self._asked.values()])
        self._largest = dict(zip(self._asked, answers, strict=True))

    def largest(self, name: str) -> int:
        """The largest answer of the last comparison; of a single process, its answer now."""
        return self._largest.get(name, 0) if several() else int(self._asked[name]())
