"""Intensity jitter: counts keep their mean, their zeros and their limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augmentation.config import AugmentationConfig, IntensityConfig
from data.augmentation.intensity import IntensityState, jitter, overlay, sample_intensity
from utils.errors import UserError

SHAPE = (3, 4, 30, 40)


def some_frames(dtype: type[np.integer], largest: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = 0 if dtype is np.uint8 else -largest
    frames = rng.integers(low, largest + 1, SHAPE).astype(dtype)
    return frames * (rng.random(SHAPE) < 0.3).astype(dtype)


def test_means() -> None:
    """Each effect does what its number says."""
    frames = some_frames(np.uint8, 10)
    events, rng = frames.sum(), np.random.default_rng(0)
    scaled = jitter(frames, IntensityState(scale=1.25), rng, None)
    assert scaled.sum() == pytest.approx(1.25 * events, rel=0.01)
    assert abs(scaled - 1.25 * frames).max() < 1
    dropped = jitter(frames, IntensityState(dropout=0.3), rng, None)
    assert dropped.sum() == pytest.approx(0.7 * events, rel=0.02)
    assert (dropped <= frames).all()
    ones = np.ones(SHAPE, dtype=np.uint8) * 8
    variance = jitter(ones, IntensityState(dropout=0.25), rng, None).astype(float).var()
    assert variance == pytest.approx(8 * 0.25 * 0.75, rel=0.05)  # each event by itself: binomial
    noisy = jitter(frames, IntensityState(noise=0.2), rng, None)
    assert (noisy.astype(int) - frames).sum() == pytest.approx(0.2 * frames[:, 0].size, rel=0.15)
    both = jitter(frames, IntensityState(scale=0.8, dropout=0.5), rng, None)
    assert both.sum() == pytest.approx(0.4 * events, rel=0.02)


@settings(deadline=None)
@given(
    st.sampled_from([np.uint8, np.int8]),
    st.floats(0.2, 4),
    st.floats(0, 0.9),
    st.floats(0, 1),
    st.integers(1, 127),
    st.one_of(st.none(), st.integers(1, 255)),
    st.integers(0, 9),
)
def test_limits(
    dtype: type[np.integer], scale: float, dropout: float, noise: float, largest: int, limit: int | None, seed: int
) -> None:
    """No overflow, no count beyond the limit (or what was there), signs kept; a pure function of its seed."""
    frames = some_frames(dtype, largest, seed)
    before = frames.copy()
    state = IntensityState(scale, dropout, noise)
    out = jitter(frames, state, np.random.default_rng(seed), limit)
    assert np.array_equal(frames, before)
    assert np.array_equal(out, jitter(frames, state, np.random.default_rng(seed), limit))
    assert out.dtype == dtype
    assert out.shape == SHAPE
    assert np.abs(out.astype(int)).max() <= max(limit or np.iinfo(dtype).max, np.abs(frames.astype(int)).max())
    if noise == 0:
        assert ((out == 0) | (np.sign(out) == np.sign(frames))).all()


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_drawn_states(seed: int) -> None:
    config = IntensityConfig(prob=0.5, scale=0.5, dropout=0.2, noise=0.01)
    state = sample_intensity(config, np.random.default_rng(seed))
    assert 1 / 1.5 <= state.scale <= 1.5
    assert 0 <= state.dropout <= 0.2
    assert 0 <= state.noise <= 0.01
    assert sample_intensity(IntensityConfig(), np.random.default_rng(seed)).is_identity


def test_nothing_to_do_copies_nothing() -> None:
    frames = some_frames(np.uint8, 10)
    assert jitter(frames, IntensityState(), np.random.default_rng(0), 10) is frames


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_overlay(dtype: type[np.integer]) -> None:
    """Sums, clipped at the limit."""
    frames, other = some_frames(dtype, 100), some_frames(dtype, 100, 1)[:2]
    for limit in (10, 120, None):
        out = overlay(frames, other, 1, limit)
        top = min(max(limit or 255, np.abs(frames.astype(int)).max()), np.iinfo(dtype).max)
        assert np.array_equal(out[:1], frames[:1])
        assert np.array_equal(out[1:], np.clip(frames[1:].astype(int) + other, -top, top))


@pytest.mark.parametrize("wrong", [{"prob": -1.0}, {"dropout": 1.0}, {"noise": 2.0}, {"scale": -0.5}])
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="intensity"):
        IntensityConfig(**wrong)
    with pytest.raises(UserError, match="max_count"):
        AugmentationConfig(max_count=0)
