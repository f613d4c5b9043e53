"""Streams: ranges dealt to lanes, and where in its ranges a lane stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from data.sampling.partners import PARTNER_WORD, Partner
from data.sampling.ranges import StreamRange
from data.sampling.specs import PADDING_LANE, AugmentSpec, LaneSpec

T = TypeVar("T")


def deal(items: Sequence[T], bins: int) -> list[list[T]]:
    """Deal items to bins 0..n-1, n-1..0, 0.. so that sorted items spread evenly.

    >>> deal("abcde", 2)
    [['a', 'd', 'e'], ['b', 'c']]
    """
    dealt: list[list[T]] = [[] for _ in range(bins)]
    for position, item in enumerate(items):
        turn, place = divmod(position, bins)
        dealt[place if turn % 2 == 0 else bins - 1 - place].append(item)
    return dealt


def longest_first(ranges: Sequence[StreamRange], length: int) -> list[StreamRange]:
    """Ranges by number of chunks, longest first; equals keep their order."""
    return sorted(ranges, key=lambda r: -r.num_chunks(length))


@dataclass
class StreamLane:
    """The ranges one lane plays, one after the other.

    Attributes:
        ranges: in playing order.
        reverse: bool per range.
        length: frames per chunk, L.
        entropy: seed of the augmentation, completed by the number of the range; None for no augmentation.
        partners: range that is laid over each range, None for none; only with an entropy.
    """

    ranges: Sequence[StreamRange]
    reverse: Sequence[bool]
    length: int
    entropy: tuple[int, ...] | None = None
    partners: Sequence[StreamRange | None] | None = None
    _ends: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._ends = np.cumsum([r.num_chunks(self.length) for r in self.ranges], dtype=np.int64)

    @property
    def num_chunks(self) -> int:
        """Chunks of all ranges."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def spec(self, chunk: int) -> LaneSpec:
        """The lane's ``chunk``-th chunk; padding once the ranges have run out."""
        if not 0 <= chunk < self.num_chunks:
            return PADDING_LANE
        number = int(np.searchsorted(self._ends, chunk, side="right"))
        current = self.ranges[number]
        count = current.num_chunks(self.length)
        index = chunk - (int(self._ends[number]) - count)
        start, stop = current.chunk(index, self.length, self.reverse[number])
        augment = partner = None
        if self.entropy is not None:
            augment = AugmentSpec("stream", (*self.entropy, number), current.start, current.stop)
            if (other := self._partner(number, current)) is not None:
                partner = other.over(start, stop, self.reverse[number])
        return LaneSpec(
            sequence=current.sequence,
            start=start,
            stop=stop,
            reverse=bool(self.reverse[number]),
            is_first=index == 0,
            is_last=index == count - 1,
            augment=augment,
            partner=partner,
        )

    def _partner(self, number: int, current: StreamRange) -> Partner | None:
        """What is laid over range ``number``, aligned at the first usable labels of both."""
        other = None if self.partners is None else self.partners[number]
        if other is None or self.entropy is None:
            return None
        augment = AugmentSpec("stream", (*self.entropy, number, PARTNER_WORD), other.start, other.stop)
        return Partner(other.sequence, other.start, other.stop, other.anchor - current.anchor, augment)
