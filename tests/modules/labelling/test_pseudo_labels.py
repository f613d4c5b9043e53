"""From detections to saved labels, against the reference's numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.payloads.frames import FrameInputs
from modules.evaluation.views import hflip_lanes, merge_views, plain_frame
from modules.labelling.config import ScoreThresholds
from modules.labelling.detections import crop_boxes, detections_to_labels
from modules.labelling.sequence_boxes import EventSeqData
from modules.tracking.filter import TrackFilterConfig
from tests.helpers.golden_files import GOLDEN, load_golden
from utils.boxes import BBOX_DTYPE, IGNORE_LABEL, Detection, FloatArray, Label, rows_to_records
from utils.errors import UserError

TWO_CLASSES = [0, 1]


@pytest.fixture(scope="module")
def arrays():
    return load_golden("06_tracker")


@pytest.fixture(scope="module")
def info():
    return json.loads((GOLDEN / "06_tracker.json").read_text())


@pytest.mark.parametrize(
    ("case", "frame_hw"), [("gen1_ds0", (240, 304)), ("gen4_ds1", (360, 640)), ("gen4_ds0", (720, 1280))]
)
def test_crop_equals_reference(arrays, case, frame_hw):
    corners, keep = crop_boxes(arrays[f"fpb/{case}/in"], frame_hw)
    np.testing.assert_array_equal(corners, arrays[f"fpb/{case}/out"])
    np.testing.assert_array_equal(keep, arrays[f"fpb/{case}/keep"])


@pytest.mark.parametrize(("case", "obj", "cls"), [("float", 0.5, 0.4), ("list", [0.6, 0.4], [0.4, 0.3])])
def test_thresholds_equal_reference(arrays, case, obj, cls):
    for index in range(5):
        detections = arrays[f"p2l/in{index}"]
        rows, keep = detections_to_labels(detections, ScoreThresholds.of(obj, cls, TWO_CLASSES), (240, 304))
        np.testing.assert_array_equal(rows, arrays[f"p2l/{case}/out{index}"])
        assert keep.sum() == len(rows)


def sequence_data(arrays, info, case, **tracking):
    details = info[f"tta/{case}"]
    frame_hw = tuple(round(size * details["scale_ratio"]) for size in details["hw"])
    config = TrackFilterConfig(6, "forward or backward", **tracking)
    sequence = EventSeqData("sequence", frame_hw, details["scale_ratio"], config)
    for call in range(details["ncalls"]):
        prefix = f"tta/{case}/call{call}"
        counts, rows = arrays[f"{prefix}/n"], arrays[f"{prefix}/boxes"]
        parts = iter(np.split(rows, np.cumsum(np.maximum(counts, 0))[:-1]))
        labels = [part if n >= 0 else None for n, part in zip(counts, parts, strict=True)]
        hflip, tflip, _ = (bool(flag) for flag in arrays[f"{prefix}/flags_hflip_tflip_last"])
        sequence.update(
            labels, arrays[f"{prefix}/ev_idx"], is_hflip=hflip, is_tflip=tflip, tflip_offset=details["tflip_offset"]
        )
    return sequence


@pytest.mark.parametrize("case", ["gen1", "gen4ds2"])
def test_merged_views_equal_reference(arrays, info, case):
    merged = sequence_data(arrays, info, case).aggregate()
    assert list(merged) == arrays[f"tta/{case}/agg/frame_idx"].tolist()
    assert [len(rows) for rows in merged.values()] == arrays[f"tta/{case}/agg/n"].tolist()
    np.testing.assert_allclose(
        np.concatenate(list(merged.values())), arrays[f"tta/{case}/agg/boxes"], rtol=0, atol=1e-4
    )


def in_canonical_order(records, first):
    """Sort the painted boxes of a frame, whose order carries no meaning, by position."""
    frame = np.repeat(np.arange(len(first)), np.diff([*first, len(records)]))
    painted = (records["class_id"] == IGNORE_LABEL) & (records["objectness"] == 0)
    return records[np.lexsort((np.where(painted, np.round(records["x"], 1), 0), painted, frame))]


@pytest.mark.parametrize("case", ["gen1", "gen4ds2"])
def test_saved_labels_equal_reference(arrays, info, case):
    labels = sequence_data(arrays, info, case, inpaint=True).finish()
    expected, first = arrays[f"tta/{case}/saved/labels"], arrays[f"tta/{case}/saved/objframe_idx_2_label_idx"]
    np.testing.assert_array_equal(labels.objframe_idx_2_label_idx, first)
    np.testing.assert_array_equal(labels.objframe_idx_2_repr_idx, arrays[f"tta/{case}/saved/objframe_idx_2_repr_idx"])
    ours, expected = in_canonical_order(labels.boxes, first), in_canonical_order(expected, first)
    assert (ours["class_id"] == IGNORE_LABEL).sum() == info[f"tta/{case}"]["ignored"]
    for name in BBOX_DTYPE.names or ():
        np.testing.assert_allclose(ours[name], expected[name], rtol=0, atol=2e-4)


def test_a_laid_aside_pass_changes_nothing(arrays, info):
    whole = sequence_data(arrays, info, "gen1", inpaint=True)
    whole.set_ground_truth(3, np.ones(2, dtype=BBOX_DTYPE))
    state, restored = whole.state(), EventSeqData("sequence", (240, 304), 1, whole.filter_config)
    restored.add_state(state)
    np.testing.assert_array_equal(restored.finish().boxes, whole.finish().boxes)
    empty = EventSeqData("sequence", (240, 304))
    empty.add_state(EventSeqData("sequence", (240, 304)).state())
    assert len(empty.finish()) == 0


def test_views_of_an_evaluation_equal_reference(arrays, info):
    views: dict[int, list[FloatArray]] = {}
    for call in range(4):
        hflip, tflip = (bool(flag) for flag in arrays[f"ttares/call{call}/flags_hflip_tflip"])
        for key in arrays:
            if key.startswith(f"ttares/call{call}/pred_ev"):
                rows = arrays[key].copy()
                if hflip:
                    Detection.mirror_(rows, 304)
                views.setdefault(plain_frame(int(key.rsplit("ev", 1)[1]), tflip, -1), []).append(rows)
    for index, (_, parts) in enumerate(sorted(views.items())):
        merged, expected = merge_views(parts, Detection, 0.45), arrays[f"ttares/out/pred{index}"]
        np.testing.assert_allclose(merged[:, 0], expected["x"], atol=1e-4)
        np.testing.assert_allclose(merged[:, 3] - merged[:, 1], expected["h"], atol=1e-4)
        np.testing.assert_array_equal(merged[:, 5], expected["class_confidence"])
        np.testing.assert_array_equal(merged[:, 6], expected["class_id"])
    assert len(views) == info["ttares"]["n_frames"]


def test_thresholds_per_kind_of_class():
    thresholds = ScoreThresholds.of([0.6, 0.3], 0.5, [1, 1, 0])
    assert thresholds.objectness == (0.3, 0.3, 0.6)
    passed = thresholds.mask(np.array([0, 2, 1024]), np.full(3, 0.5, np.float32), np.full(3, 0.9, np.float32))
    assert passed.tolist() == [True, False, False]


def test_mistakes_are_explained():
    with pytest.raises(UserError, match="3 numbers"):
        ScoreThresholds.of([0.1, 0.2, 0.3], 0.5, TWO_CLASSES)
    with pytest.raises(UserError, match="cls_thresh"):
        ScoreThresholds.of(0.5, 1.5, TWO_CLASSES)


def test_scores_must_exceed_the_threshold():
    detection = np.array([[10, 10, 30, 30, 0.5, 0.5, 0]], dtype=np.float32)
    assert len(detections_to_labels(detection, ScoreThresholds.of(0.5, 0.4, TWO_CLASSES), (60, 60))[0]) == 0
    assert len(detections_to_labels(detection, ScoreThresholds.of(0.4, 0.4, TWO_CLASSES), (60, 60))[0]) == 1


def test_mirrored_lanes_follow_the_originals():
    frames = torch.arange(2 * 3 * 1 * 2 * 4).reshape(2, 3, 1, 2, 4).to(torch.uint8)
    doubled = hflip_lanes(FrameInputs(frames)).data
    assert doubled.shape == (2, 6, 1, 2, 4)
    assert torch.equal(doubled[:, 3:].flip(-1), doubled[:, :3])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 12))
def test_flipping_twice_and_merging_twice_change_nothing(seed, count):
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, 8), dtype=np.float32)
    rows[:, 1:3] = rng.integers(0, 100, (count, 2))
    rows[:, 3:5] = rng.integers(5, 60, (count, 2))
    rows[:, 5] = rng.integers(0, 2, count)
    rows[:, 6:] = rng.uniform(0.1, 1, (count, 2))
    twice = rows.copy()
    for _ in range(2):
        Label.mirror_(twice, 200)
    np.testing.assert_array_equal(twice, rows)
    merged = merge_views([rows], Label)
    np.testing.assert_array_equal(merge_views([merged, merged], Label), merged)
    assert len(rows_to_records(merged)) == len(merged) <= count
