"""Stacked histogram: event counts per time bin and polarity (RVT, CVPR 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from data.events.types import Events
from data.representations.base import Representation
from data.representations.names import folder_name
from utils.errors import UserError


class StackedHistogram(Representation):
    """uint8 [2·bins, H, W]: channel = polarity·bins + time bin, counts clipped to ``count_cutoff``.

    Time bin = min(floor((t − t0) / max(t1 − t0, 1) · bins), bins − 1), with t0 and t1 the first and last event of the
    window. Counts saturate; they never wrap at 256.

    Args:
        bins: time bins per window.
        count_cutoff: largest count, at most 255 (None).
        dt_ms: window length, only for the name.

    >>> StackedHistogram().name
    'stacked_histogram_dt=50_nbins=10'
    """

    def __init__(self, bins: int = 10, count_cutoff: int | None = 10, dt_ms: float = 50) -> None:
        if bins < 1 or not 1 <= (count_cutoff or 255) <= 255:
            raise UserError(
                expected="bins of at least 1 and a count_cutoff between 1 and 255",
                got=f"bins={bins}, count_cutoff={count_cutoff}",
                where="dataset.representation",
                fix="change these keys",
            )
        self.bins = bins
        self.count_cutoff = count_cutoff or 255
        self.name = folder_name("stacked_histogram", dt_ms, bins, count_cutoff)
        self.channels = 2 * bins
        self.dtype = np.dtype(np.uint8)

    def _fill(self, frame: npt.NDArray[Any], events: Events, shift: int) -> None:
        _count(frame, events.t, events.x, events.y, events.p, self.bins, self.count_cutoff, shift)


@njit(cache=True, nogil=True)
def _count(frame, t, x, y, p, bins, cutoff, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add events to ``frame`` [2·bins, H, W]; float32 arithmetic like the published preprocessing.

    Times ascend, so the events of a bin lie in a row and its end is found by halving: no arithmetic per event, and
    only the two planes of a bin in use at a time.
    """
    flat = frame.reshape(-1)
    width = np.uintp(frame.shape[2])
    plane = np.uintp(frame.shape[1]) * width
    largest = np.uint8(cutoff)
    stop = 0
    for time_bin in range(bins):
        start, stop = stop, _end_of_bin(t, stop, time_bin, bins)
        darker, brighter = np.uintp(time_bin) * plane, np.uintp(time_bin + bins) * plane
        if shift:
            # Places are gathered without branches first, which the processor would guess wrong.
            places = np.empty(stop - start + 1, dtype=np.uint32)
            kept = 0
            for i in range(start, stop):
                place = np.uintp(y[i] >> 1) * width + np.uintp(x[i] >> 1) + (brighter if p[i] else darker)
                places[kept] = place
                kept += y[i] & x[i] & 1
            for i in range(kept):
                count = flat[places[i]]
                flat[places[i]] = count + np.uint8(count < largest)
        else:
            for i in range(start, stop):
                place = np.uintp(y[i]) * width + np.uintp(x[i]) + (brighter if p[i] else darker)
                count = flat[place]
                flat[place] = count + np.uint8(count < largest)


@njit(cache=True, nogil=True)
def _end_of_bin(t, first, time_bin, bins):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Index of the first event from ``first`` on that belongs to a later bin."""
    span = np.float32(max(t[-1] - t[0], 1))
    last = len(t)
    while first < last:
        middle = (first + last) // 2
        if min(int(np.float32(t[middle] - t[0]) / span * np.float32(bins)), bins - 1) <= time_bin:
            first = middle + 1
        else:
            last = middle
    return first
