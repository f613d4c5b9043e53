"""Voxel grid with bilinear time: signed polarity shared by the two nearest bins (Zhu et al., CVPR 2019; E2VID)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from data.events.types import Events
from data.representations.base import Representation
from data.representations.names import folder_name
from utils.errors import UserError

LARGEST = 65504
"""Largest number of float16."""


class VoxelGrid(Representation):
    """float16 [bins, H, W]: bin b of a pixel sums p · max(0, 1 − |b − t*|) over its events, p = ±1.

    t* = (bins − 1) · (t − t0) / max(t1 − t0, 1), with t0 and t1 the first and last event of the window: the first bin
    lies on the first event, the last on the last, and an event between two bins is shared by both. Sums are float32;
    they are stored as float16, which keeps eleven binary digits (whole numbers up to 2048 exactly) at half the size
    of float32. Values are not normalised.

    Args:
        bins: number of bins.
        count_cutoff: largest magnitude; None clips only at what float16 can hold.
        dt_ms: window length, only for the name.

    >>> VoxelGrid().name
    'voxel_grid_dt=50_nbins=10'
    """

    def __init__(self, bins: int = 10, count_cutoff: int | None = None, dt_ms: float = 50) -> None:
        limit = LARGEST if count_cutoff is None else count_cutoff
        if bins < 1 or not 1 <= limit <= LARGEST:
            raise UserError(
                expected=f"bins of at least 1 and a count_cutoff of null or between 1 and {LARGEST}",
                got=f"bins={bins}, count_cutoff={count_cutoff}",
                where="dataset.representation",
                fix="change these keys",
            )
        self.bins = bins
        self.count_cutoff = limit
        self.name = folder_name("voxel_grid", dt_ms, bins, count_cutoff)
        self.channels = bins
        self.dtype = np.dtype(np.float16)

    def _fill(self, frame: npt.NDArray[Any], events: Events, shift: int) -> None:
        sums = np.zeros(frame.shape, dtype=np.float32)
        _share(sums, events.t, events.x, events.y, events.p, shift)
        if len(events) > self.count_cutoff:  # fewer cannot reach it
            np.clip(sums, -self.count_cutoff, self.count_cutoff, out=sums)
        frame[:] = sums


@njit(cache=True, nogil=True)
def _share(sums, t, x, y, p, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add signed polarity to ``sums`` [bins, H, W], each event to the two bins around it."""
    t0 = t[0]
    span = np.float64(max(t[-1] - t0, 1))
    last = sums.shape[0] - 1
    for i in range(len(t)):
        if shift and not (y[i] & 1 and x[i] & 1):
            continue
        row, column = y[i] >> shift, x[i] >> shift
        position = np.float64(t[i] - t0) * last / span
        low = min(int(position), last)
        share = position - low
        sign = 1.0 if p[i] else -1.0
        sums[low, row, column] += np.float32(sign * (1.0 - share))
        if low < last:
            sums[low + 1, row, column] += np.float32(sign * share)
