"""The event sensor: contrast crossings of the log luminance, background activity, hot pixels, dead time.

As in ESIM (Rebecq et al., CoRL 2018) and v2e (Hu et al., CVPRW 2021) each pixel keeps a reference level; whenever
the log luminance, taken as linear between two renders, has moved by the pixel's threshold, an event is made at the
time of the crossing and the reference follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from data.events.types import Events
from data.synthetic.config import SensorConfig
from data.synthetic.render import draw_backdrop, draw_figures
from data.synthetic.scene import Cast, Scene, pose_all
from data.synthetic.textures import FloatImage

Buffer = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.uint8]]

_DARK = 0.01
"""Luminance added before the logarithm, so that black has a level and contrast fades in the dark."""

_NEARLY = 0.9
"""Share of a threshold from which an event is reckoned with when room is made; rounding stays far below."""

_CHUNK = 64
"""Renders that are posed, and whose events are put in order, at once."""


@dataclass
class Pixels:
    """State of the pixel array [H, W] between two chunks.

    Attributes:
        level: log luminance of the last render.
        reference: level at the last event.
        up: threshold of ON events.
        down: threshold of OFF events.
        noise: events per second without a change, background activity and hot pixels.
        last_us: time of the last event that was let through.
    """

    level: FloatImage
    reference: FloatImage
    up: FloatImage
    down: FloatImage
    noise: npt.NDArray[np.float64]
    last_us: npt.NDArray[np.int64]


def new_pixels(rng: np.random.Generator, config: SensorConfig, height: int, width: int) -> Pixels:
    """Draw the spread of thresholds and the noise rates of a sensor."""
    shape = (height, width)
    up, down = (
        (config.threshold * np.clip(1 + config.threshold_spread * rng.standard_normal(shape), 0.3, 3)).astype(
            np.float32
        )
        for _ in range(2)
    )
    noise = config.noise_hz * np.exp(0.5 * rng.standard_normal(shape) - 0.125)
    hot = rng.random(shape) < config.hot_pixel_share
    noise[hot] += config.hot_pixel_hz * rng.uniform(0.3, 1.7, int(hot.sum()))
    still = np.zeros(shape, np.float32)
    return Pixels(still, still.copy(), up, down, noise, np.full(shape, -(10**9), np.int64))


_TABLE_SIZE = 4096
_LOG_TABLE = np.log(np.arange(_TABLE_SIZE + 2) / _TABLE_SIZE + _DARK).astype(np.float32)


@njit(cache=True, nogil=True)
def _log(luminance: float) -> float:
    """Logarithm of a luminance in [0, 1] plus the dark level, from a table; off by less than 1e-4."""
    place = min(max(luminance, 0.0), 1.0) * _TABLE_SIZE
    index = int(place)
    low = _LOG_TABLE[index]
    return low + (_LOG_TABLE[index + 1] - low) * np.float32(place - index)


@njit(cache=True, nogil=True)
def measure_light(
    frame: FloatImage,
    light: float,
    reference: FloatImage,
    up: FloatImage,
    down: FloatImage,
    now: FloatImage,
) -> int:
    """Write the log luminance of ``frame`` [H, W] into ``now``; return a bound of the events that it makes."""
    height, width = frame.shape
    most = 0
    for v in range(height):
        for u in range(width):
            value = _log(frame[v, u] * light)
            now[v, u] = value
            change = value - reference[v, u]
            step = up[v, u] if change > 0 else -down[v, u]
            if change / step > _NEARLY:
                most += int(change / step) + 2
    return most


@njit(cache=True, nogil=True)
def cross(
    t0_us: int,
    t1_us: int,
    before: FloatImage,
    now: FloatImage,
    reference: FloatImage,
    up: FloatImage,
    down: FloatImage,
    t: npt.NDArray[np.int64],
    pixel: npt.NDArray[np.int32],
    p: npt.NDArray[np.uint8],
    count: int,
) -> int:
    """Append the events between two log luminances [H, W] to the buffers t, pixel, p; times lie in (t0_us, t1_us].

    Returns:
        The new number of events.
    """
    height, width = now.shape
    span = t1_us - t0_us - 1
    for v in range(height):
        for u in range(width):
            slope = now[v, u] - before[v, u]
            if slope == 0:
                continue
            step = up[v, u] if slope > 0 else -down[v, u]
            target = reference[v, u] + step
            while (now[v, u] - target) * step >= 0:
                reference[v, u] = target
                share = min(max((target - before[v, u]) / slope, 0.0), 1.0)
                t[count] = t0_us + 1 + int(share * span)
                pixel[count] = v * width + u
                p[count] = slope > 0
                count += 1
                target += step
    return count


@njit(cache=True, nogil=True)
def _let_through(
    t: npt.NDArray[np.int64], pixel: npt.NDArray[np.int32], last_us: npt.NDArray[np.int64], dead_us: int
) -> npt.NDArray[np.bool_]:
    """Which of the ordered events come at least ``dead_us`` after the last one let through at their pixel."""
    keep = np.empty(len(t), np.bool_)
    for index in range(len(t)):
        keep[index] = t[index] - last_us[pixel[index]] >= dead_us
        if keep[index]:
            last_us[pixel[index]] = t[index]
    return keep


def noise_events(rng: np.random.Generator, rates_hz: npt.NDArray[np.float64], t0_us: int, t1_us: int) -> Buffer:
    """Background activity with the given rates [H, W] in (t0_us, t1_us]: times, pixel numbers, polarities."""
    total = float(rates_hz.sum())
    count = int(rng.poisson(total * (t1_us - t0_us) * 1e-6))
    edges = np.cumsum(rates_hz.reshape(-1))
    pixel = np.searchsorted(edges, rng.random(count) * edges[-1], side="right").clip(max=edges.size - 1)
    times = rng.integers(t0_us + 1, t1_us + 1, count)
    return times.astype(np.int64), pixel.astype(np.int32), rng.integers(0, 2, count).astype(np.uint8)


def record(scene: Scene, cast: Cast, config: SensorConfig, rng: np.random.Generator) -> Events:
    """Film a scene from its first render to its last; events in order of time, then pixel."""
    pixels = new_pixels(rng, config, scene.height, scene.width)
    times_us = np.round(scene.times * 1e6).astype(np.int64)
    film = _Film(scene, cast, pixels)
    film.expose(slice(0, 1), np.array([-1, 0], np.int64))
    pixels.reference[:] = pixels.level
    pieces: list[Buffer] = []
    for start in range(1, len(times_us), _CHUNK):
        span = slice(start, min(start + _CHUNK, len(times_us)))
        window = times_us[span.start - 1 : span.stop]
        signal = film.expose(span, window)
        noise = noise_events(rng, pixels.noise, int(window[0]), int(window[-1]))
        pieces.append(_merge(signal, noise, pixels, config.refractory_us))
    t, pixel, p = _joined(pieces)
    return Events.from_arrays(t, pixel % scene.width, pixel // scene.width, p)


class _Film:
    """Draws render after render and collects events."""

    def __init__(self, scene: Scene, cast: Cast, pixels: Pixels) -> None:
        self._scene, self._cast, self._pixels = scene, cast, pixels
        self._backdrop = np.zeros((scene.height, scene.width), np.float32)
        self._frame = np.zeros_like(self._backdrop)
        self._now = np.zeros_like(self._backdrop)
        self._lens: npt.NDArray[np.float64] | None = None
        self._buffer = _new_buffer(1 << 14)

    def draw(self, lens: npt.NDArray[np.float64], parts: npt.NDArray[np.float64], order: npt.NDArray[np.int64]) -> None:
        """Draw one render; the backdrop of a standing camera is drawn once."""
        scenery, cast, atlas = self._scene.scenery, self._cast, self._cast.atlas
        if self._lens is None or not np.array_equal(lens, self._lens):
            draw_backdrop(self._backdrop, scenery.skyline, scenery.foot, scenery.ground, lens)
            self._lens = lens
        np.copyto(self._frame, self._backdrop)
        draw_figures(self._frame, atlas.texels, atlas.tables, atlas.shapes, cast.sprite, cast.bounds, parts, order)

    def expose(self, span: slice, times_us: npt.NDArray[np.int64]) -> Buffer:
        """Events of the renders of ``span``, not yet in order; ``times_us`` has one more entry in front."""
        poses, pixels, light = pose_all(self._scene, span), self._pixels, float(self._scene.light)
        count = 0
        for index in range(len(poses.lens)):
            self.draw(poses.lens[index], poses.parts[index], poses.order[index])
            state = (pixels.reference, pixels.up, pixels.down)
            self._reserve(count + measure_light(self._frame, light, *state, self._now))
            count = cross(times_us[index], times_us[index + 1], pixels.level, self._now, *state, *self._buffer, count)
            pixels.level, self._now = self._now, pixels.level
        t, pixel, p = self._buffer
        return t[:count].copy(), pixel[:count].copy(), p[:count].copy()

    def _reserve(self, size: int) -> None:
        """Make room for ``size`` events."""
        if size > len(self._buffer[0]):
            missing = _new_buffer(size)
            self._buffer = _joined([self._buffer, missing])


def _new_buffer(size: int) -> Buffer:
    return np.empty(size, np.int64), np.empty(size, np.int32), np.empty(size, np.uint8)


def _joined(pieces: list[Buffer]) -> Buffer:
    return (
        np.concatenate([piece[0] for piece in pieces]),
        np.concatenate([piece[1] for piece in pieces]),
        np.concatenate([piece[2] for piece in pieces]),
    )


def _merge(signal: Buffer, noise: Buffer, pixels: Pixels, dead_us: int) -> Buffer:
    """Signal and noise in order, without what falls into the dead time of a pixel."""
    t, pixel, p = _joined([signal, noise])
    order = np.lexsort((p, pixel, t))
    t, pixel, p = t[order], pixel[order], p[order]
    keep = _let_through(t, pixel, pixels.last_us.reshape(-1), dead_us)
    return t[keep], pixel[keep], p[keep]
