"""Two recordings event by event, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.events.recording import Recording
from data.events.types import Events


@dataclass
class Comparison:
    """Result of ``compare``.

    Attributes:
        events: how many were compared, the shorter recording's number.
        different: events whose x, y or p differ.
        first_different: number of the first of them, -1 without one.
        offsets_us: smallest and largest difference of the times, second minus first.
    """

    events: int = 0
    different: int = 0
    first_different: int = -1
    offsets_us: tuple[int, int] = (0, 0)


def paired(left: Recording, right: Recording) -> Iterator[tuple[Events, Events]]:
    """Runs of as many events of both recordings, until one ends."""
    runs = [iter(left.chunks()), iter(right.chunks())]
    rest = [Events.empty(), Events.empty()]
    while True:
        for side in (0, 1):
            while not len(rest[side]):
                following = next(runs[side], None)
                if following is None:
                    return
                rest[side] = following
        n = min(len(rest[0]), len(rest[1]))
        yield rest[0].slice(0, n), rest[1].slice(0, n)
        rest = [events.slice(n, len(events)) for events in rest]


def compare(left: Recording, right: Recording) -> Comparison:
    """Compare event by event, in constant memory."""
    result = Comparison()
    for a, b in paired(left, right):
        wrong = np.flatnonzero((a.x != b.x) | (a.y != b.y) | (a.p != b.p))
        if len(wrong) and result.first_different < 0:
            result.first_different = result.events + int(wrong[0])
        offsets = b.t - a.t
        ends = int(offsets.min()), int(offsets.max())
        if result.events:
            ends = min(ends[0], result.offsets_us[0]), max(ends[1], result.offsets_us[1])
        result.offsets_us = ends
        result.different += len(wrong)
        result.events += len(a)
    return result
