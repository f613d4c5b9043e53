"""Random luminance textures; all are float32 in [0.02, 1] and drawn from a given generator."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]

cv2.setNumThreads(1)

DARKEST = 0.02


def fractal_noise(rng: np.random.Generator, height: int, width: int, exponent: float = 1.0) -> FloatImage:
    """Noise [height, width] with amplitude spectrum 1/f**exponent; tiles seamlessly; mean 0, values mostly in ±1."""
    fy = np.fft.fftfreq(height)[:, None]
    fx = np.fft.rfftfreq(width)[None, :]
    frequency = np.sqrt(fy * fy + fx * fx)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency**exponent
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(spectrum, s=(height, width))
    return (noise / (2.0 * noise.std() + 1e-9)).astype(np.float32)


def _coordinates(rng: np.random.Generator, height: int, width: int) -> FloatImage:
    """Signed distance in texels along a random direction."""
    angle = rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])
    ys, xs = np.mgrid[0:height, 0:width]
    return (np.cos(angle) * xs + np.sin(angle) * ys).astype(np.float32)


def _plain(rng: np.random.Generator, height: int, width: int, texels_per_m: float) -> FloatImage:
    return 0.35 * fractal_noise(rng, height, width, 1.3)


def _noise(rng: np.random.Generator, height: int, width: int, texels_per_m: float) -> FloatImage:
    return fractal_noise(rng, height, width, rng.uniform(0.8, 1.5))


def _stripes(rng: np.random.Generator, height: int, width: int, texels_per_m: float) -> FloatImage:
    period = rng.uniform(0.12, 0.5) * texels_per_m
    duty = rng.uniform(0.3, 0.7)
    phase = np.mod(_coordinates(rng, height, width) / period + rng.random(), 1.0)
    return np.where(phase < duty, 1.0, -1.0).astype(np.float32)


def _checks(rng: np.random.Generator, height: int, width: int, texels_per_m: float) -> FloatImage:
    period = rng.uniform(0.15, 0.45) * texels_per_m
    ys, xs = np.mgrid[0:height, 0:width]
    odd = (np.floor(xs / period) + np.floor(ys / period)) % 2
    return (2.0 * odd - 1.0).astype(np.float32)


def _patches(rng: np.random.Generator, height: int, width: int, texels_per_m: float) -> FloatImage:
    image = np.zeros((height, width), dtype=np.float32)
    for _ in range(int(rng.integers(4, 12))):
        size = rng.uniform(0.1, 0.6, 2) * texels_per_m
        x, y = rng.uniform(-0.2, 1.0) * width, rng.uniform(-0.2, 1.0) * height
        value = float(rng.uniform(-1, 1))
        cv2.rectangle(image, (int(x), int(y)), (int(x + size[0]), int(y + size[1])), value, -1)
    return image


def _blobs(rng: np.random.Generator, height: int, width: int, texels_per_m: float) -> FloatImage:
    return np.where(fractal_noise(rng, height, width, 1.6) > rng.uniform(-0.2, 0.3), 1.0, -1.0).astype(np.float32)


_PATTERNS: tuple[Callable[[np.random.Generator, int, int, float], FloatImage], ...] = (
    _plain,
    _noise,
    _stripes,
    _checks,
    _patches,
    _blobs,
)


def random_luminance(rng: np.random.Generator, low: float = 0.05, high: float = 0.9) -> float:
    """One luminance, uniform in log between ``low`` and ``high``."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_texture(
    rng: np.random.Generator,
    height: int,
    width: int,
    texels_per_m: float,
    contrast: float,
    base: float | None = None,
) -> FloatImage:
    """A random pattern around a base luminance.

    Args:
        rng: source of all randomness.
        height: rows.
        width: columns.
        texels_per_m: resolution, so that pattern sizes are in metres.
        contrast: half the span of the pattern in natural-log units.
        base: centre luminance; random when None.

    Returns:
        float32 [height, width] in [0.02, 1].
    """
    base = random_luminance(rng) if base is None else base
    pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))](rng, height, width, texels_per_m)
    grain = 0.25 * fractal_noise(rng, height, width, 0.8)
    return np.clip(base * np.exp(contrast * (pattern + grain)), DARKEST, 1.0).astype(np.float32)
