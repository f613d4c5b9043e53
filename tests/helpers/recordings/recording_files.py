"""Recordings for tests: random events, and encoders of formats that the project itself only reads."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from data.events.types import Events
from scripts.soak.readers.aedat4_sample import aedat4_bytes  # noqa: F401 # for those who look for it here

FIELDS = ("t", "x", "y", "p")


def random_events(n: int, height: int = 20, width: int = 30, seed: int = 0, t_max: int = 1_000_000) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, t_max, n))
    return Events.from_arrays(t, rng.integers(0, width, n), rng.integers(0, height, n), rng.integers(0, 2, n))


@st.composite
def ordered_events(draw: st.DrawFn, longest_gap: int = 1 << 25, width: int = 1280, height: int = 720) -> Events:
    """Events in order, many of them at one time, in one row and side by side, so that vectors appear."""
    gaps = st.sampled_from((0, 0, 0, 0, 1, 63, 64, 4095, 4096)) | st.integers(0, longest_gap)
    rows = st.lists(st.tuples(gaps, st.integers(0, height - 1), st.integers(0, width - 1), st.booleans()), max_size=12)
    start = draw(st.integers(0, (1 << 24) - 1))
    t, x, y, p = [], [], [], []
    for gap, row, column, polarity in draw(rows):
        start += gap
        columns = draw(st.lists(st.integers(column, min(column + 40, width - 1)), min_size=1, max_size=20))
        columns = sorted(columns) if draw(st.booleans()) else columns
        x += columns
        t += [start] * len(columns)
        y += [row] * len(columns)
        p += [polarity] * len(columns)
    return Events.from_arrays(t, x, y, p)


def assert_same(left: Events, right: Events) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
