"""Mixing of two sequences: which frames of the partner are laid over a lane, and which labels then count.

The plan aligns the two at a frame that is labelled in both, and keeps that alignment for a whole item or streamed
range, so that a recurrent state sees one continuous scene. Where the partner ends, the lane goes on alone.

A mixed frame counts as labelled only where both recordings are labelled: the objects of the other would otherwise be
taught as background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.genx_utils.types import AugmentSpec, PartnerSpec
from data.labels.batched_labels import BatchedLabels

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


@dataclass(frozen=True)
class SampleLabels:
    """Usable and hidden labels of one lane.

    Attributes:
        usable: labels one may use, [L, 1].
        hidden: labels hidden by sub-sampling, [L, 1].
        known: bool [L], frames with usable labels before augmentation moved boxes out of view.
    """

    usable: BatchedLabels
    hidden: BatchedLabels
    known: Tensor


def mix_labels(mine: SampleLabels, other: SampleLabels, covered: Tensor) -> SampleLabels:
    """Labels of a lane with a partner.

    Args:
        mine: labels of the lane.
        other: labels of the partner, by positions of the lane.
        covered: bool [L], positions that show the partner.
    """
    known = mine.known & (other.known | ~covered)
    return SampleLabels(
        _union(mine.usable, other.usable, known, known & covered),
        _union(mine.hidden, other.hidden, torch.ones_like(known), covered),
        known,
    )


def _union(one: BatchedLabels, two: BatchedLabels, keep_one: Tensor, keep_two: Tensor) -> BatchedLabels:
    """Boxes of both, by position; ``keep`` bool [L] says at which positions each counts."""
    parts: list[tuple[Any, ...]] = []
    labelled = torch.zeros_like(one.labelled)
    for labels, keep in ((one, keep_one), (two, keep_two)):
        wanted = keep[labels.frame_id]
        parts.append((labels.rows[wanted], labels.frame_id[wanted], labels.t_us[wanted]))
        labelled |= labels.labelled & keep[:, None]
    rows, frame_id, t_us = (torch.cat(column) for column in zip(*parts, strict=True))
    order = torch.argsort(frame_id, stable=True)
    return BatchedLabels(rows[order], frame_id[order], labelled, one.input_size_hw, t_us[order])
