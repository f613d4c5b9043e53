"""Representations against the published numbers and against a direct computation."""

from __future__ import annotations

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st

from config.resolvers import register_resolvers
from data.events.types import Events
from data.representations.factory import make_representation
from data.representations.mixed_density import MixedDensityStack
from data.representations.stacked_histogram import StackedHistogram
from data.representations.voxel_grid import VoxelGrid
from data.sequences.stored_labels import EV_DIR, SequencePaths
from tests.helpers.golden_files import load_golden
from utils.commands.cli import CONFIG_DIR
from utils.errors import UserError

WINDOWS = ("random", "empty", "single", "same_t", "hot", "uneven", "boundaries")
NAMES = ("sh_b10_c10_slow", "sh_b10_c10_fast", "sh_b5_c255_slow", "sh_b10_none_fast", "mdes_b10_c32", "mdes_b10_none")
HEIGHT, WIDTH = 24, 32


@pytest.fixture(scope="module")
def golden():
    return load_golden("04b_representations")


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("name", "representation"),
    [
        ("sh_b10_c10_slow", StackedHistogram()),
        ("sh_b10_c10_fast", StackedHistogram()),
        ("sh_b5_c255_slow", StackedHistogram(bins=5, count_cutoff=255)),
        ("sh_b10_none_fast", StackedHistogram(count_cutoff=None)),
        ("mdes_b10_c32", MixedDensityStack(wrap_int8=True)),
        ("mdes_b10_none", MixedDensityStack(count_cutoff=None, wrap_int8=True)),
    ],
)
def test_published_numbers(golden, window, name, representation):
    events = Events.from_arrays(*(golden[f"in/{window}/{key}"] for key in "txyp"))
    full = representation.build(events, HEIGHT, WIDTH)
    half = representation.build(events, HEIGHT, WIDTH, downsample=True)
    theirs, their_half = golden[f"out/{window}/{name}"], golden[f"out/{window}/{name}_ds2"]
    assert half.dtype == full.dtype == theirs.dtype == representation.dtype
    if window == "hot" and name.endswith("_fast"):
        # Their fast variant wraps at 256 events in a bin; ours saturates. Nothing else differs.
        counts = add_at(events, HEIGHT, WIDTH, representation.bins)
        np.testing.assert_array_equal(np.minimum(counts % 256, representation.count_cutoff), theirs)
        np.testing.assert_array_equal(np.minimum(counts, representation.count_cutoff), full)
        np.testing.assert_array_equal(theirs[:, 1::2, 1::2], their_half)
        np.testing.assert_array_equal(full[:, 1::2, 1::2], half)
        assert (counts >= 256).any()
        return
    np.testing.assert_array_equal(full, theirs)
    np.testing.assert_array_equal(half, their_half)


def test_every_published_array_is_compared(golden):
    compared = {f"in/{window}/{key}" for window in WINDOWS for key in "txyp"} | {"ds2_odd_in", "ds2_odd_out"}
    compared |= {f"out/{window}/{name}{half}" for window in WINDOWS for name in NAMES for half in ("", "_ds2")}
    assert compared == set(golden)


def add_at(events, height, width, bins) -> np.ndarray:
    """Counts [2 * bins, H, W] of a stacked histogram, by the formula."""
    counts = np.zeros((2 * bins, height, width), dtype=np.int64)
    span = np.float32(max(int(events.t[-1] - events.t[0]), 1))
    fraction = (events.t - events.t[0]).astype(np.float32) / span * np.float32(bins)
    channel = np.minimum(fraction.astype(np.int64), bins - 1) + bins * events.p.astype(np.int64)
    np.add.at(counts, (channel, events.y, events.x), 1)
    return counts


def test_counts_saturate():
    many = Events.from_arrays(np.arange(300), [1] * 300, [1] * 300, [1] * 300)
    assert StackedHistogram(bins=1, count_cutoff=None).build(many, 2, 2).max() == 255
    assert MixedDensityStack(bins=1, count_cutoff=None).build(many, 2, 2).max() == 127
    assert MixedDensityStack(bins=1, count_cutoff=None, wrap_int8=True).build(many, 2, 2).max() == 300 - 256


event_rows = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 10), st.integers(0, 8), st.integers(0, 1)), max_size=80
)


@settings(max_examples=80, deadline=None)
@given(rows=event_rows, bins=st.integers(1, 7), cutoff=st.integers(1, 3))
def test_histogram_equals_direct_count(rows, bins, cutoff):
    height, width = 9, 11  # odd sizes
    rows = sorted(rows)
    counts = np.zeros((2 * bins, height, width), dtype=np.int64)
    for t, x, y, p in rows:
        span = max(rows[-1][0] - rows[0][0], 1)
        fraction = np.float32(t - rows[0][0]) / np.float32(span) * np.float32(bins)
        counts[p * bins + min(int(fraction), bins - 1), y, x] += 1
    events = Events.from_arrays(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)
    representation = StackedHistogram(bins, cutoff)
    full = representation.build(events, height, width)
    np.testing.assert_array_equal(full, np.minimum(counts, cutoff))
    half = representation.build(events, height, width, downsample=True)
    np.testing.assert_array_equal(half, full[:, 1::2, 1::2][:, : height // 2, : width // 2])


@settings(max_examples=80, deadline=None)
@given(rows=event_rows, bins=st.integers(1, 7), cutoff=st.sampled_from([None, 1, 3]))
def test_voxel_grid_equals_the_sum_over_events_and_bins(rows, bins, cutoff):
    height, width = 9, 11  # odd sizes
    rows = sorted(rows)
    grid = np.zeros((bins, height, width))
    for t, x, y, p in rows:
        time = (bins - 1) * (t - rows[0][0]) / max(rows[-1][0] - rows[0][0], 1)
        for index in range(bins):
            grid[index, y, x] += (1 if p else -1) * max(0.0, 1.0 - abs(index - time))
    events = Events.from_arrays(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)
    representation = VoxelGrid(bins, cutoff)
    full = representation.build(events, height, width)
    limit = np.inf if cutoff is None else cutoff
    # float32 sums of at most 80 shares, then eleven binary digits of float16.
    np.testing.assert_allclose(full, np.clip(grid, -limit, limit), rtol=2**-11, atol=2e-5)
    assert full.dtype == np.float16
    half = representation.build(events, height, width, downsample=True)
    np.testing.assert_array_equal(half, full[:, 1::2, 1::2][:, : height // 2, : width // 2])


def test_voxel_grid_keeps_every_event():
    rng = np.random.default_rng(0)
    n = 2000
    t = np.sort(rng.integers(0, 50_000, n))
    events = Events.from_arrays(t, rng.integers(0, WIDTH, n), rng.integers(0, HEIGHT, n), np.ones(n))
    frame = VoxelGrid().build(events, HEIGHT, WIDTH)
    counts = np.zeros((HEIGHT, WIDTH))
    np.add.at(counts, (events.y, events.x), 1)
    np.testing.assert_allclose(frame.astype(np.float64).sum(axis=0), counts, atol=10 * 8 * 2**-11)
    opposite = Events.from_arrays(events.t, events.x, events.y, np.zeros(n))
    np.testing.assert_array_equal(VoxelGrid().build(opposite, HEIGHT, WIDTH), -frame)


def test_a_voxel_grid_never_overflows():
    many = Events.from_arrays(np.zeros(70_000), [0] * 70_000, [0] * 70_000, [1] * 70_000)
    assert VoxelGrid(bins=1).build(many, 2, 2).max() == 65504


@pytest.mark.parametrize("representation", [StackedHistogram(), MixedDensityStack(), VoxelGrid()])
def test_a_window_without_events_is_zero(representation):
    frame = representation.build(Events.empty(), HEIGHT, WIDTH)
    assert frame.shape == (representation.channels, HEIGHT, WIDTH)
    assert frame.dtype == representation.dtype
    assert not frame.any()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("stacked_histogram", "stacked_histogram_dt=50_nbins=10"),
        ("mixed_density", "mixeddensity_stack_dt=50_nbins=10_cutoff=32"),
        ("voxel_grid", "voxel_grid_dt=50_nbins=10"),
    ],
)
def test_the_configuration_says_what_is_built(kind, name):
    register_resolvers()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        keys = compose("preprocess", overrides=[f"dataset.representation.kind={kind}"]).dataset.representation
    built = make_representation(keys.kind, keys.bins, keys.count_cutoff, keys.dt_ms)
    assert keys.name == built.name == name
    assert keys.channels == built.channels


def test_an_older_name_of_mixed_density_still_opens(tmp_path):
    published, older = "mixeddensity_stack_dt=50_nbins=10_cutoff=32", "mixeddensity_stack_dt=50_nbins=10"
    assert SequencePaths(tmp_path, published).ev_repr_name == published
    (tmp_path / EV_DIR / older).mkdir(parents=True)
    assert SequencePaths(tmp_path, published).ev_repr_name == older
    (tmp_path / EV_DIR / published).mkdir()
    assert SequencePaths(tmp_path, published).ev_repr_name == published
    assert SequencePaths(tmp_path, "stacked_histogram_dt=50_nbins=10").ev_repr_name.startswith("stacked")


def test_half_resolution_of_odd_sizes(golden):
    full, half = golden["ds2_odd_in"], golden["ds2_odd_out"]
    height, width = full.shape[1:]
    channels, rows, columns = np.nonzero(full)
    for channel in range(len(full)):
        y, x = rows[channels == channel], columns[channels == channel]
        repeat = full[channel, y, x].astype(int)
        y, x = np.repeat(y, repeat), np.repeat(x, repeat)
        events = Events.from_arrays(np.zeros(len(x)), x, y, np.zeros(len(x)))
        ours = StackedHistogram(bins=1, count_cutoff=255).build(events, height, width, downsample=True)
        np.testing.assert_array_equal(ours[0], half[channel])


def test_an_event_outside_the_sensor_is_a_user_error():
    events = Events.from_arrays([1], [32], [0], [1])
    with pytest.raises(UserError, match="column 32"):
        StackedHistogram().build(events, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("kind", "bins", "cutoff"), [("voxels", 10, 10), ("stacked_histogram", 0, 10), ("voxel_grid", 0, None)]
)
def test_unknown_or_impossible_representation_is_a_user_error(kind, bins, cutoff):
    with pytest.raises(UserError):
        make_representation(kind, bins, cutoff, 50)
    for kind, cutoff in (("stacked_histogram", 256), ("mixed_density", 128), ("voxel_grid", 0)):
        with pytest.raises(UserError, match="count_cutoff"):
            make_representation(kind, 10, cutoff, 50)
