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
    """Add events to ``frame`` [2·bins, H, W]; float32 arithmetic like the published preprocessing."""
    t0 = t[0]
    span = np.float32(max(t[-1] - t0, 1))
    for i in range(len(t)):
        if shift and not (y[i] & 1 and x[i] & 1):
            continue
        row, column = y[i] >> shift, x[i] >> shift
        time_bin = min(int(np.float32(t[i] - t0) / span * np.float32(bins)), bins - 1)
        channel = time_bin + (bins if p[i] else 0)
        if frame[channel, row, column] < cutoff:
            frame[channel, row, column] += 1
