"""Boxes of many frames matched with labels, without a Python loop over boxes or frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from utils.boxes import paired_iou

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """All (box, label) pairs of equal group with their overlap, ordered by box.

    Attributes:
        box: index of the box [P].
        label: index of the label [P].
        iou: their overlap [P].
        num_boxes: boxes, paired or not.
        num_labels: labels, paired or not.
    """

    box: IntArray
    label: IntArray
    iou: FloatArray
    num_boxes: int
    num_labels: int

    def best_iou_of_boxes(self) -> FloatArray:
        """Largest overlap of every box with any label [num_boxes]; 0 without a pair."""
        best = np.zeros(self.num_boxes)
        np.maximum.at(best, self.box, self.iou)
        return best

    def best_iou_of_labels(self) -> FloatArray:
        """Largest overlap of every label with any box [num_labels]; 0 without a pair."""
        best = np.zeros(self.num_labels)
        np.maximum.at(best, self.label, self.iou)
        return best


def pair_boxes(boxes: FloatArray, box_group: IntArray, labels: FloatArray, label_group: IntArray) -> Pairs:
    """Pair every box with every label of its group (for instance frame and class).

    Args:
        boxes: x, y, w, h [N, 4].
        box_group: [N].
        labels: x, y, w, h [M, 4].
        label_group: [M].
    """
    order = np.argsort(label_group, kind="stable")
    first = np.searchsorted(label_group[order], box_group, side="left")
    count = np.searchsorted(label_group[order], box_group, side="right") - first
    box = np.repeat(np.arange(len(boxes)), count)
    within = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
    label = order[np.repeat(first, count) + within]
    return Pairs(box, label, paired_iou(boxes[box], labels[label]), len(boxes), len(labels))


def match_one_to_one(pairs: Pairs, box_group: IntArray, score: FloatArray, threshold: float) -> IntArray:
    """Match greedily: by falling score, each box takes the free label that it overlaps most.

    Args:
        pairs: of the same boxes.
        box_group: [num_boxes].
        score: [num_boxes].
        threshold: least overlap, inclusive.

    Returns:
        Index of the label of every box, −1 for none [num_boxes].
    """
    rank = _rank_in_group(box_group, score)
    keep = np.flatnonzero(pairs.iou >= threshold)
    keep = keep[np.lexsort((-pairs.iou[keep], pairs.box[keep], rank[pairs.box[keep]]))]
    box, label = pairs.box[keep], pairs.label[keep]
    matched = np.full(pairs.num_boxes, -1, dtype=np.int64)
    taken = np.zeros(pairs.num_labels, dtype=bool)
    bounds = np.flatnonzero(np.diff(rank[box], prepend=-1, append=np.iinfo(np.int64).max))
    # Boxes of one rank lie in different groups, so that they never compete for a label.
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        free = start + np.flatnonzero(~taken[label[start:stop]])
        winners, position = np.unique(box[free], return_index=True)
        matched[winners] = label[free[position]]
        taken[matched[winners]] = True
    return matched


def _rank_in_group(group: IntArray, score: FloatArray) -> IntArray:
    """Place of every element when its group is sorted by falling score, from 0."""
    order = np.lexsort((-score, group))
    ordered = group[order]
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - np.searchsorted(ordered, ordered, side="left")
    return rank
