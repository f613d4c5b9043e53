"""Labels of two sequences that are laid over each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from data.labels.batched_labels import BatchedLabels


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
