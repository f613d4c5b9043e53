"""Change event counts: gain, dropped events and noise events; and lay two recordings over each other.

Counts stay whole numbers within their data type. Signed representations (mixed density) are treated element by
element: magnitudes are scaled and thinned, noise has a random sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.augmentation.config import IntensityConfig

Frames = npt.NDArray[Any]
_LEVELS = 1 << 12
"""Steps of the random numbers that change a count: probabilities are exact to 1/4096."""


@dataclass(frozen=True)
class IntensityState:
    """Intensity of one item or range, the same for all its frames.

    Attributes:
        scale: factor of the counts; what it leaves behind the point is rounded up or down at random, so that the
            mean is kept.
        dropout: probability that an event is lost.
        noise: noise events per pixel and frame.
    """

    scale: float = 1.0
    dropout: float = 0.0
    noise: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return self.scale == 1.0 and self.dropout == 0.0 and self.noise == 0.0


def sample_intensity(config: IntensityConfig, rng: np.random.Generator) -> IntensityState:
    """Draw a state: the factor evenly on a logarithmic scale, the others evenly from 0 to their largest value."""
    chance, scale, dropout, noise = (float(u) for u in rng.random(4))
    if chance >= config.prob:
        return IntensityState()
    factor = (1.0 + config.scale) ** (2.0 * scale - 1.0)
    return IntensityState(factor, dropout * config.dropout, noise * config.noise)


def count_limit(frames: Frames, max_count: int | None) -> int:
    """Largest magnitude a count may get: ``max_count``, if neither the frames nor their type say otherwise."""
    largest = int(np.iinfo(frames.dtype).max)
    if max_count is None or frames.size == 0:
        return largest
    return min(max(max_count, int(frames.max()), -int(frames.min())), largest)


def jitter(frames: Frames, state: IntensityState, rng: np.random.Generator, max_count: int | None) -> Frames:
    """Frames [L, C, H, W] with other counts (the same array if nothing changes).

    Args:
        frames: uint8 counts or int8 signed counts.
        state: what to do.
        rng: decides over single events.
        max_count: counts do not grow beyond.
    """
    if state.is_identity or frames.size == 0:
        return frames
    limit = count_limit(frames, max_count)
    largest = max(int(frames.max()), -int(frames.min()))
    table = _count_table(largest, state.scale, state.dropout, limit).reshape(-1)
    out = np.array(frames, order="C")
    # Frame by frame, so that what is in between stays in the processor's cache.
    for frame in out.reshape(len(out), -1):
        if state.scale != 1.0 or state.dropout > 0.0:
            _change_counts(frame, table, rng)
        if state.noise > 0.0:
            _add_noise(frame, rng, rng.poisson(state.noise * frame.size / frames.shape[1]), limit)
    return out


def _change_counts(flat: Frames, table: npt.NDArray[np.int16], rng: np.random.Generator) -> None:
    """Replace the counts that are not zero, in place."""
    (where,) = np.nonzero(flat != 0)
    values = flat[where].astype(np.int64)
    chance = rng.integers(0, _LEVELS, size=len(where), dtype=np.uint16)
    flat[where] = (np.sign(values) * table[np.abs(values) * _LEVELS + chance]).astype(flat.dtype)


def _count_table(largest: int, scale: float, dropout: float, limit: int) -> npt.NDArray[np.int16]:
    """New count of old count v at chance u, int16 [largest + 1, levels]: the quantiles of its distribution."""
    chance = (np.arange(_LEVELS) + 0.5) / _LEVELS
    table = np.zeros((largest + 1, _LEVELS), dtype=np.int16)
    kept = np.ones(1)  # probability that 0, 1, ... of v events are kept
    for value in range(1, largest + 1):
        kept = np.append(kept * dropout, 0.0) + np.append(0.0, kept * (1.0 - dropout))
        scaled = np.arange(value + 1) * scale
        low = np.floor(scaled).astype(np.int64)
        result = np.zeros(int(low[-1]) + 2)
        np.add.at(result, low, kept * (1.0 - (scaled - low)))
        np.add.at(result, low + 1, kept * (scaled - low))
        table[value] = np.minimum(np.searchsorted(np.cumsum(result) * (1.0 - 1e-12), chance), limit)
    return table


def _add_noise(flat: Frames, rng: np.random.Generator, events: int, limit: int) -> None:
    """Add single events at random places, in place."""
    where, count = np.unique(rng.integers(0, flat.size, size=events), return_counts=True)
    change = count.astype(np.int16)
    if flat.dtype.kind == "i":
        change = change * rng.choice(np.array([-1, 1], dtype=np.int16), size=len(where))
    lowest = -limit if flat.dtype.kind == "i" else 0
    flat[where] = np.clip(flat[where].astype(np.int16) + change, lowest, limit).astype(flat.dtype)


def overlay(frames: Frames, other: Frames, position: int, max_count: int | None) -> Frames:
    """Add the frames of another recording.

    Args:
        frames: [L, C, H, W].
        other: [n, C, H, W] of the same type, n <= L - position.
        position: frame of ``frames`` that ``other[0]`` is laid over.
        max_count: sums are clipped there.
    """
    limit = count_limit(frames, max_count)
    out = np.array(frames, order="C")
    for mine, theirs in zip(out[position : position + len(other)], other, strict=True):
        if out.dtype.kind == "u":
            mine += np.minimum(theirs, limit - mine)
        else:
            mine[...] = np.clip(mine.astype(np.int16) + theirs, -limit, limit)
    return out
