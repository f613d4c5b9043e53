"""The linear tracker and the track filter against the reference's numbers and their own rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modules.tracking.filter import TrackFilterConfig, filter_tracks
from modules.tracking.linear import LinearTracker
from tests.helpers.golden_files import load_golden
from utils.boxes import IGNORE_LABEL, LABEL_COLUMNS
from utils.errors import UserError

CASES = ["a", "b_gt", "c_dense", "d_sparse"]
HW = (240, 304)
POSITION_TOLERANCE = 2e-4  # the reference keeps predicted positions in float32


@pytest.fixture(scope="module")
def arrays():
    return load_golden("06_tracker")


def sequence(arrays, case):
    rows, counts = arrays[f"trk/{case}/boxes"], arrays[f"trk/{case}/n_per_frame"]
    return arrays[f"trk/{case}/frame_idx"], np.split(rows, np.cumsum(counts)[:-1])


@pytest.mark.parametrize("case", CASES)
def test_tracks_equal_reference(arrays, case):
    frames, boxes = sequence(arrays, case)
    tracks = LinearTracker(HW).track(frames, boxes)
    out = f"trk/{case}/out"
    assert len(tracks.hits) == arrays[f"{out}/n_tracks"]
    np.testing.assert_array_equal(tracks.track_id, arrays[f"{out}/track_id"])
    for name in ("hits", "done", "is_gt", "n_boxes"):
        np.testing.assert_array_equal(getattr(tracks, name)[tracks.track_id], arrays[f"{out}/{name}"])
    np.testing.assert_array_equal(tracks.confidence, arrays[f"{out}/conf_at_box"])
    np.testing.assert_allclose(tracks.missed, arrays[f"{out}/missed"], rtol=0, atol=POSITION_TOLERANCE)


def in_canonical_order(rows, frames):
    """Sort by frame; painted boxes of a frame, whose order carries no meaning, by position."""
    position = np.where(rows[:, 6] > 0, 0, np.round(rows[:, 1], 1))
    return rows[np.lexsort((position, rows[:, 6] == 0, frames))]


@pytest.mark.parametrize("inpaint", [True, False])
@pytest.mark.parametrize("method", ["forward", "forward or backward"])
@pytest.mark.parametrize("length", [6, 3])
@pytest.mark.parametrize("case", CASES)
def test_filter_equals_reference(arrays, case, length, method, inpaint):
    frames, boxes = sequence(arrays, case)
    masks, painted = filter_tracks(frames, boxes, HW, TrackFilterConfig(length, method, inpaint))
    ours = {int(frame): [rows.copy()] for frame, rows in zip(frames, boxes, strict=True)}
    for frame, mask in zip(frames, masks, strict=True):
        ours[int(frame)][0][mask, 5] = IGNORE_LABEL
    for frame, rows in painted.items():
        ours.setdefault(frame, []).append(rows)
    order = sorted(ours)
    rows = np.concatenate([part for frame in order for part in ours[frame]])
    numbers = np.concatenate([np.full(len(part), frame) for frame in order for part in ours[frame]])

    key = f"trk/{case}/filter/len{length}_{method.replace(' ', '_')}_{'inpaint' if inpaint else 'noinpaint'}"
    labels = arrays[f"{key}/labels"]
    expected = np.stack([labels[name].astype(np.float32) for name in LABEL_COLUMNS], axis=1)
    assert order == arrays[f"{key}/objframe_idx_2_repr_idx"].tolist()
    first = np.searchsorted(numbers, order)
    np.testing.assert_array_equal(first, arrays[f"{key}/objframe_idx_2_label_idx"])
    np.testing.assert_allclose(
        in_canonical_order(rows, numbers), in_canonical_order(expected, numbers), rtol=0, atol=POSITION_TOLERANCE
    )


def row(x, y, w=40.0, h=30.0, t=0.0, class_id=0.0):
    return np.array([[t, x, y, w, h, class_id, 0.9, 0.9]], dtype=np.float32)


def test_a_track_as_tall_as_the_frame_does_no_harm():
    boxes = [row(50 + 2 * i, -5, h=260) for i in range(8)]
    tracks = LinearTracker(HW).track(range(8), boxes)
    assert tracks.hits.tolist() == [8]


def test_hits_count_missed_frames():
    boxes = [row(50, 50), row(52, 50), row(58, 50)]
    tracks = LinearTracker(HW).track([0, 1, 4], boxes)
    assert tracks.hits.tolist() == [5]
    assert tracks.n_boxes.tolist() == [3]
    assert tracks.missed[:, 1].tolist() == [2, 3]
    np.testing.assert_allclose(tracks.missed[:, 2], [74, 76])


def test_classes_do_not_share_a_track():
    assert len(LinearTracker(HW).track([0, 1], [row(50, 50), row(50, 50, class_id=1)]).hits) == 2


def test_ground_truth_and_unfinished_tracks_are_kept():
    config = TrackFilterConfig(min_track_len=6, track_method="forward")
    lost, labelled, late = row(10, 10), row(100, 100, t=5e5), row(200, 150)
    empty = np.zeros((0, 8), dtype=np.float32)
    frames = [0, *range(1, 12), 12]
    boxes = [np.concatenate([lost, labelled]), *[empty] * 11, late]
    masks, _ = filter_tracks(frames, boxes, HW, config)
    assert masks[0].tolist() == [True, False]
    assert masks[-1].tolist() == [False]


def test_both_directions_must_agree():
    # Short at the start: finished when read forwards, unfinished when read backwards.
    empty = np.zeros((0, 8), dtype=np.float32)
    boxes = [row(10, 10), *[empty] * 11]
    for method, goes in (("forward", True), ("forward or backward", False)):
        masks, _ = filter_tracks(range(12), boxes, HW, TrackFilterConfig(6, method))
        assert masks[0].tolist() == [goes]


def test_no_frames_give_no_masks():
    assert filter_tracks([], [], HW, TrackFilterConfig()) == ([], {})


def test_mistakes_are_explained():
    with pytest.raises(UserError, match="forward or backward"):
        TrackFilterConfig(track_method="forward and backward")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match="min_track_len"):
        TrackFilterConfig(min_track_len=-1)
    with pytest.raises(ValueError, match="ascend"):
        LinearTracker(HW).track([3, 3], [row(0, 0), row(0, 0)])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 25), st.integers(0, 6))
def test_any_boxes_are_tracked_soundly(seed, length, most):
    rng = np.random.default_rng(seed)
    frames = np.cumsum(rng.integers(1, 4, length))
    boxes = []
    for _ in range(length):
        rows = np.zeros((rng.integers(0, most + 1), 8))
        rows[:, 1:3] = rng.uniform(-40, 300, (len(rows), 2))
        rows[:, 3:5] = rng.uniform(0, 400, (len(rows), 2))
        rows[:, 5] = rng.integers(0, 2, len(rows))
        boxes.append(rows)
    tracks = LinearTracker(HW).track(frames, boxes)
    counts = [len(rows) for rows in boxes]
    frame_of, class_of = np.repeat(frames, counts), np.concatenate([rows[:, 5] for rows in boxes])
    assert np.bincount(tracks.track_id, minlength=len(tracks.hits)).tolist() == tracks.n_boxes.tolist()
    for track in range(len(tracks.hits)):
        own = tracks.track_id == track
        assert len(set(class_of[own])) == 1
        assert len(set(frame_of[own])) == own.sum()
        assert tracks.hits[track] == frame_of[own].max() - frame_of[own].min() + 1
    assert np.isfinite(tracks.missed).all()
