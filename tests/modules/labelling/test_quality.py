"""Figures on pseudo labels against the reference, a plain matcher, and cases whose result is plain to see."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.sequences.layout import SequencePaths, SequenceWriter, StoredLabels, write_label_sequence
from modules.label_quality.figures import compare_boxes, evaluate_pseudo_labels, source_split_of
from modules.label_quality.matching import match_one_to_one, pair_boxes
from modules.labelling.config import ScoreThresholds
from tests.helpers.golden_files import GOLDEN, load_golden
from utils.boxes import BBOX_DTYPE, IGNORE_LABEL, rows_to_records
from utils.errors import UserError
from utils.evaluation.prophesee import PropheseeEvaluator

REPRESENTATION = "stacked_histogram_dt=50_nbins=1"
CLASSES = ("car", "ped")


def evaluator(classes=CLASSES):
    return PropheseeEvaluator(classes, 240, 304, 0, 0)


@pytest.mark.parametrize("classes", [("car", "ped"), ("ped", "cyc", "car")])
def test_overlap_shares_equal_reference(classes):
    count = len(classes)
    expected = json.loads((GOLDEN / "06_tracker.json").read_text())[f"evaluate_label/{count}"]
    arrays = load_golden("06_tracker", "evl/")
    frames = np.flatnonzero(arrays[f"evl/{count}/pred_mask"])
    labels = [rows_to_records(arrays[f"evl/{count}/gt{frame}"]) for frame in frames]
    boxes = [rows_to_records(arrays[f"evl/{count}/pse{frame}"]) for frame in frames]
    scores = {name: arrays[f"evl/{count}/scores/ssod/true_ious_{name}"] for name in classes}
    none = ScoreThresholds.of(0.0, 0.0, range(count))
    report = compare_boxes(labels, boxes, classes, evaluator(classes), none)
    for class_id, name in enumerate(classes):
        row = report.figures["overlap_share"][name]
        assert row["frames"] == expected[f"num_{name}"]
        for percent in (25, 50, 75):
            ours = (row[f"overlap_precision_{percent}"], row[f"overlap_recall_{percent}"])
            theirs = (expected[f"ssod/teacher_AP@{percent}_{name}"], expected[f"ssod/teacher_AR@{percent}_{name}"])
            assert ours == pytest.approx(theirs, abs=1e-6)
        np.testing.assert_allclose(
            np.sort(report.best_iou[report.class_id == class_id]), np.sort(scores[name]), rtol=0, atol=1e-5
        )


def plain_matcher(boxes, box_group, labels, label_group, score, threshold):
    """Match as the text says, one box after the other."""
    pairs = pair_boxes(boxes, box_group, labels, label_group)
    overlap = {(b, m): iou for b, m, iou in zip(pairs.box, pairs.label, pairs.iou, strict=True)}
    matched, taken = np.full(len(boxes), -1), set()
    for box in np.argsort(-score, kind="stable"):
        free = [(overlap[box, m], -m) for m in range(len(labels)) if (box, m) in overlap and m not in taken]
        if free and max(free)[0] >= threshold:
            matched[box] = -max(free)[1]
            taken.add(matched[box])
    return matched


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 14), st.integers(0, 10), st.integers(1, 3))
def test_matching_equals_a_plain_matcher(seed, num_boxes, num_labels, groups):
    rng = np.random.default_rng(seed)

    def some(count):
        return np.concatenate([rng.integers(0, 12, (count, 2)), rng.integers(4, 16, (count, 2))], axis=1).astype(float)

    boxes, labels = some(num_boxes), some(num_labels)
    box_group, label_group = rng.integers(0, groups, num_boxes), rng.integers(0, groups, num_labels)
    score = rng.permutation(num_boxes).astype(float)
    pairs = pair_boxes(boxes, box_group, labels, label_group)
    for threshold in (0.25, 0.5):
        ours = match_one_to_one(pairs, box_group, score, threshold)
        plain = plain_matcher(boxes, box_group, labels, label_group, score, threshold)
        np.testing.assert_array_equal(ours, plain)
        found = ours[ours >= 0]
        assert len(set(found.tolist())) == len(found)


def box(x, class_id=0, t=0, objectness=0.8, confidence=0.9):
    return np.array([(t, x, 20, 40, 40, class_id, confidence, objectness)], dtype=BBOX_DTYPE)


def joined(*records):
    return np.concatenate(records) if records else np.zeros(0, dtype=BBOX_DTYPE)


NO_LIMIT = ScoreThresholds.of(0.0, 0.0, [0, 1])


def test_two_boxes_on_one_label_count_once():
    labels = [joined(box(10, t=10**6), box(200, t=10**6))]
    boxes = [joined(box(10), box(12, objectness=0.5))]
    figures = compare_boxes(labels, boxes, CLASSES, evaluator(), NO_LIMIT).figures
    car = figures["one_to_one"]["car"]
    assert (car["precision_50"], car["recall_50"], car["f1_50"]) == (0.5, 0.5, 0.5)
    assert figures["overlap_share"]["car"]["overlap_precision_50"] == 1.0
    assert figures["one_to_one"]["ped"] == {**dict.fromkeys(figures["one_to_one"]["ped"], 0.0), "labels": 0, "boxes": 0}


def test_boxes_that_tracking_dropped_count_before_it():
    labels = [joined(box(10, t=10**6), box(200, t=10**6))]
    dropped, painted = box(200, IGNORE_LABEL), box(100, IGNORE_LABEL, objectness=0.0, confidence=0.0)
    figures = compare_boxes(labels, [joined(box(10), dropped, painted)], CLASSES, evaluator(), NO_LIMIT).figures
    assert figures["any_class"]["before_tracking"]["recall_75"] == 1.0
    assert figures["any_class"]["before_tracking"]["boxes"] == 2
    assert figures["any_class"]["after_tracking"]["recall_75"] == 0.5
    assert figures["boxes"] == 1


def test_thresholds_leave_boxes_out():
    labels, boxes = [box(10, t=10**6)], [joined(box(10), box(200, objectness=0.2), box(100, confidence=0.2))]
    limits = ScoreThresholds.of([0.5, 0.1], 0.5, [0, 1])
    figures = compare_boxes(labels, boxes, CLASSES, evaluator(), limits).figures
    assert figures["one_to_one"]["car"]["precision_75"] == 1.0
    assert figures["prophesee"]["AP"] == pytest.approx(1.0)


def stored(frames):
    records, counts = list(frames.values()), np.array([len(part) for part in frames.values()])
    return StoredLabels(joined(*records), np.cumsum(counts) - counts, np.array(list(frames)))


@pytest.fixture
def datasets(tmp_path):
    """Source with labels on frames 4, 9 and 14; pseudo labels show that of 4 only, find 9 and miss 14."""
    source, pseudo = tmp_path / "source" / "train", tmp_path / "pseudo" / "train"
    truth = {frame: box(10 * frame, t=50_000 * (frame + 20)) for frame in (4, 9, 14)}
    for name in "ab":
        with SequenceWriter(source / name, REPRESENTATION, 2, 8, 8) as writer:
            writer.append_frames(np.zeros((20, 2, 8, 8), dtype=np.uint8))
            writer.write_frame_timestamps(50_000 * np.arange(20, 40))
            writer.write_labels(stored(truth))
        labels = stored({4: truth[4], 5: box(55), 9: joined(box(91), box(250, confidence=0.5))})
        write_label_sequence(pseudo / name, SequencePaths(source / name, REPRESENTATION), labels)
    return source, pseudo


def test_only_frames_with_hidden_labels_count(datasets, tmp_path):
    source, pseudo = datasets
    report = evaluate_pseudo_labels(pseudo, source, REPRESENTATION, CLASSES, evaluator())
    assert report.figures["frames"] == 4
    car = report.figures["one_to_one"]["car"]
    assert (car["labels"], car["boxes"]) == (4, 4)
    assert (car["precision_75"], car["recall_75"]) == (0.5, 0.5)
    assert report.figures["prophesee"]["AP_50"] == pytest.approx(0.5, abs=0.02)
    report.save_json(tmp_path / "quality.json")
    written = json.loads((tmp_path / "quality.json").read_text())
    assert written["one_to_one"] == report.figures["one_to_one"]
    assert sum(written["score_iou"]["objectness"]["boxes_per_tenth"]) == 4
    report.save_picture(tmp_path / "quality.png")
    assert (tmp_path / "quality.png").read_bytes().startswith(b"\x89PNG")
    for part in ("4 pseudo boxes on 4 frames with 4 hidden labels", "before tracking", "Prophesee", "50.00"):
        assert part in report.text()


def test_the_source_is_found_by_the_links(datasets):
    source, pseudo = datasets
    assert source_split_of(pseudo, REPRESENTATION, downsampled=False) == source.resolve()
    with pytest.raises(UserError, match="source_path"):
        source_split_of(source, REPRESENTATION, downsampled=False)


def test_nothing_hidden_is_explained(datasets):
    source, _ = datasets
    with pytest.raises(UserError, match="kept its ground truth"):
        evaluate_pseudo_labels(source, source, REPRESENTATION, CLASSES, evaluator())


def test_no_boxes_at_all_give_zeros(tmp_path):
    report = compare_boxes([box(10, t=10**6)], [joined()], CLASSES, evaluator(), NO_LIMIT)
    assert report.figures["one_to_one"]["all"]["recall_50"] == 0
    assert report.score_iou()["objectness"]["correlation"] == 0
    report.save_picture(tmp_path / "empty.png")
    assert "0 pseudo boxes" in report.text()
