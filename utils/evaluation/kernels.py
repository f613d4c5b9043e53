"""Loops over detections, compiled: matching as COCO matches, and precision of many weightings at once."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BitArray = npt.NDArray[np.uint16]

_ALMOST = 1 - 1e-10
"""Largest overlap that COCO asks for."""


@numba.njit(cache=True)
def match(
    detections: FloatArray,
    score: FloatArray,
    first: IntArray,
    labels: FloatArray,
    first_label: IntArray,
    thresholds: FloatArray,
) -> Any:
    """Match the detections of each window with its labels, one to one, for each least overlap on its own.

    Args:
        detections: x, y, w, h, by window [N, 4].
        score: what ranks them; of equal ones the earlier is first [N].
        first: index of the first detection of each window, and their number [W + 1].
        labels: x, y, w, h, by window [M, 4].
        first_label: index of the first label of each window, and their number [W + 1].
        thresholds: least overlaps, 16 at most.

    Returns:
        uint16 [N]; bit i is set where the detection takes a label at the i-th overlap: of those that are free the one
        that it overlaps most, of equal ones the last.
    """
    hits, taken = np.zeros(len(detections), np.uint16), np.zeros(len(labels), np.uint16)
    overlap = np.zeros(len(labels))
    for window in range(len(first) - 1):
        start, stop = first_label[window], first_label[window + 1]
        ranked = np.argsort(-score[first[window] : first[window + 1]], kind="mergesort")  # stable
        for at in first[window] + ranked:
            x, y, w, h = detections[at]
            for label in range(start, stop):
                left, top, width, height = labels[label]
                across = min(x + w, left + width) - max(x, left)
                down = min(y + h, top + height) - max(y, top)
                shared = across * down if across > 0 and down > 0 else 0.0
                overlap[label] = shared / (w * h + width * height - shared) if shared > 0 else 0.0
            for number, threshold in enumerate(thresholds):
                bit = np.uint16(1 << number)
                best, most = -1, min(threshold, _ALMOST)
                for label in range(start, stop):
                    if not taken[label] & bit and overlap[label] >= most:
                        best, most = label, overlap[label]
                if best >= 0:
                    taken[best] |= bit
                    hits[at] |= bit
    return hits


@numba.njit(cache=True, error_model="numpy")
def sum_precision(
    hits: BitArray,
    recording: npt.NDArray[np.int32],
    weights: FloatArray,
    needed: FloatArray,
    count: FloatArray,
    right: FloatArray,
) -> Any:
    """Sum of the best precision at each recall, for many weightings of the recordings side by side.

    Detections are gone through from the last to the first, so that the best precision of what comes behind is known.

    Args:
        hits: bits of ``match``, by falling score [N].
        recording: of each detection [N].
        weights: how often each recording counts, [recordings, R].
        needed: labels to find for each recall, ascending [recalls, R].
        count: weighted number of detections [R].
        right: weighted number of those that take a label, at each least overlap [overlaps, R].

    Returns:
        float64 [overlaps, R].
    """
    overlaps, lanes = right.shape
    count, right = count.copy(), right.copy()
    best, total = np.zeros((overlaps, lanes)), np.zeros((overlaps, lanes))
    place, wanted = np.zeros((overlaps, lanes), np.int64), np.zeros((overlaps, lanes))
    for number in range(overlaps):
        for lane in range(lanes):
            at = np.searchsorted(needed[:, lane], right[number, lane], side="right") - 1
            place[number, lane], wanted[number, lane] = at, needed[at, lane] if at >= 0 else -1.0
    for at in range(len(hits) - 1, -1, -1):
        weight = weights[recording[at]]
        for number in range(overlaps if hits[at] else 0):
            if not (hits[at] >> number) & 1:
                continue
            found, most, least, passed = right[number], best[number], wanted[number], 0
            for lane in range(lanes):  # plain enough for several lanes in one instruction
                precision = found[lane] / count[lane]
                most[lane] = precision if precision > most[lane] else most[lane]
                found[lane] -= weight[lane]
                passed += found[lane] < least[lane]
            if not passed:
                continue
            for lane in range(lanes):
                while found[lane] < least[lane]:
                    total[number, lane] += most[lane]
                    place[number, lane] -= 1
                    below = place[number, lane]
                    least[lane] = needed[below, lane] if below >= 0 else -1.0
        for lane in range(lanes):
            count[lane] -= weight[lane]
    return total
