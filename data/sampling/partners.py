"""Which sequence is laid over another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.sampling.specs import AugmentSpec, PartnerSpec

PARTNER_WORD = 11
"""Last word of the entropy of a partner's augmentation."""


@dataclass(frozen=True, slots=True)
class Partner:
    """What is laid over an item or range: frame i of the lane meets frame ``i + shift`` of the partner.

    Attributes:
        sequence: index into the list of sequences.
        start: first frame that may be used ...
        stop: ... and the one after the last.
        shift: alignment.
        augment: random numbers of its own augmentation.
    """

    sequence: int
    start: int
    stop: int
    shift: int
    augment: AugmentSpec

    def over(self, start: int, stop: int, reverse: bool) -> PartnerSpec | None:
        """The part over the lane's frames [start, stop); None if the partner has none there.

        >>> spec = Partner(7, 10, 20, 5, AugmentSpec("stream", (1,), 10, 20)).over(2, 8, False)
        >>> (spec.start, spec.stop, spec.position)
        (10, 13, 3)
        """
        first, last = max(start + self.shift, self.start), min(stop + self.shift, self.stop)
        if first >= last:
            return None
        position = stop + self.shift - last if reverse else first - self.shift - start
        return PartnerSpec(self.sequence, first, last, position, self.augment)


def choose_other(sequence_of: npt.NDArray[np.int64], chosen: int, uniform: float) -> int | None:
    """Entry of another sequence than that of entry ``chosen``, all equally likely; None if there is none.

    Args:
        sequence_of: sequence of each entry, ascending [N].
        chosen: an entry.
        uniform: random number in [0, 1).

    >>> [choose_other(np.array([0, 0, 1, 2]), 2, u) for u in (0.0, 0.5, 0.9)]
    [0, 1, 3]
    """
    first, last = (int(np.searchsorted(sequence_of, sequence_of[chosen], side=side)) for side in ("left", "right"))
    others = len(sequence_of) - (last - first)
    if others == 0:
        return None
    number = min(int(uniform * others), others - 1)
    return number if number < first else number + last - first
