"""Mixed-density event stack: signed polarity over windows that halve in length (RVT, CVPR 2023)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from data.events.types import Events
from data.representations.base import Representation
from data.representations.names import folder_name
from utils.errors import UserError

EPSILON = np.float32(1e-6)


class MixedDensityStack(Representation):
    """int8 [bins, H, W]: channel i sums the polarity (±1) of bins 0..i, clipped to ±``count_cutoff``.

    With t normalised to the window and clamped to [1e−6, 1 − 1e−6], bin = floor(max(bins − log(t) / log(½), 0)).

    Args:
        bins: number of bins.
        count_cutoff: largest magnitude, at most 127 (None).
        dt_ms: window length, only for the name.
        wrap_int8: let sums wrap at ±128 before they are clipped, as the published code does (a pixel with a net 300
            events then reads 44); False saturates.

    >>> MixedDensityStack().name
    'mixeddensity_stack_dt=50_nbins=10_cutoff=32'
    """

    def __init__(
        self, bins: int = 10, count_cutoff: int | None = 32, dt_ms: float = 50, wrap_int8: bool = False
    ) -> None:
        if bins < 1 or not 1 <= (count_cutoff or 127) <= 127:
            raise UserError(
                expected="bins of at least 1 and a count_cutoff between 1 and 127",
                got=f"bins={bins}, count_cutoff={count_cutoff}",
                where="dataset.representation",
                fix="change these keys",
            )
        self.bins = bins
        self.count_cutoff = count_cutoff or 127
        self.wrap_int8 = wrap_int8
        self.name = folder_name("mixed_density", dt_ms, bins, count_cutoff)
        self.channels = bins
        self.dtype = np.dtype(np.int8)

    def _fill(self, frame: npt.NDArray[Any], events: Events, shift: int) -> None:
        sums = np.zeros(frame.shape, dtype=np.int8 if self.wrap_int8 else np.int32)
        _accumulate(sums, events.t, events.x, events.y, events.p, shift)
        _cumulate(sums.reshape(len(sums), -1), frame.reshape(len(frame), -1), self.count_cutoff)


@njit(cache=True, nogil=True)
def _accumulate(sums, t, x, y, p, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add signed polarity to ``sums`` [bins, H, W]."""
    t0 = t[0]
    span = np.float32(max(t[-1] - t0, 1))
    bins = sums.shape[0]
    log_half = np.log(np.float32(0.5))
    for i in range(len(t)):
        if shift and not (y[i] & 1 and x[i] & 1):
            continue
        row, column = y[i] >> shift, x[i] >> shift
        fraction = min(max(np.float32(t[i] - t0) / span, EPSILON), np.float32(1) - EPSILON)
        time_bin = int(max(np.float32(bins) - np.log(fraction) / log_half, np.float32(0)))
        sums[min(time_bin, bins - 1), row, column] += 1 if p[i] else -1


@njit(cache=True, nogil=True)
def _cumulate(sums, frame, cutoff):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sum ``sums`` [bins, N] over bins, in place and in their own type, and clip them into ``frame`` [bins, N]."""
    for channel in range(sums.shape[0]):
        for pixel in range(sums.shape[1]):
            if channel:
                sums[channel, pixel] += sums[channel - 1, pixel]
            frame[channel, pixel] = min(max(sums[channel, pixel], -cutoff), cutoff)
