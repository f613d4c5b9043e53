"""Matches and the rates that are made of them, by small cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from modules.reports.frames import chosen_frames
from modules.reports.matches import load_matches, match_frames
from modules.reports.rates import calibration, confusion, rates, size_rows
from utils.boxes import BBOX_DTYPE
from utils.evaluation.prophesee import PropheseeEvaluator

EVALUATOR = PropheseeEvaluator(("car", "bus"), 240, 320, min_diag=0, min_side=5, skip_us=0)


def boxes(*rows):
    """Rows (x, class, score) of squares with sides of 20 pixels."""
    found = np.zeros(len(rows), dtype=BBOX_DTYPE)
    for row, (x, class_id, score) in zip(found, rows, strict=True):
        row["t"], row["x"], row["y"], row["w"], row["h"] = 100, x, 10, 20, 20
        row["class_id"], row["class_confidence"], row["objectness"] = class_id, score, 1
    return found


FRAMES = [
    # found, found twice, and nothing there
    (boxes((10, 0, 1)), boxes((10, 0, 0.9), (12, 0, 0.5), (200, 0, 0.4))),
    # another class is said, and one label is missed
    (boxes((10, 0, 1), (100, 1, 1)), boxes((10, 1, 0.8))),
    # no label: does not count
    (boxes(), boxes((50, 0, 0.99))),
]


@pytest.fixture(scope="module")
def matches():
    return match_frames(FRAMES, EVALUATOR)


def test_one_detection_to_one_label(matches):
    assert matches.score.tolist() == pytest.approx([0.9, 0.8, 0.5, 0.4])
    assert matches.right.tolist() == [True, False, False, False]
    assert matches.true_class.tolist() == [0, 0, -1, -1]
    assert matches.label_score.tolist() == pytest.approx([0.9, -1, -1])
    assert matches.label_any.tolist() == pytest.approx([0.9, 0.8, -1])


def test_rates_fall_and_rise_with_the_threshold(matches):
    found = rates(matches)
    assert found.precision.tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert found.recall.tolist() == pytest.approx([1 / 3] * 4)
    assert found.best() == 0
    assert rates(matches, 1).f1.tolist() == [0]


def test_area_under_the_curve_is_about_the_ap_of_the_protocol():
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(60):
        truth = boxes(*((x, 0, 1) for x in (10, 60, 110)))
        guess = boxes(*((x, 0, rng.uniform(0, 1)) for x in (11, 61, 160, 210) if rng.random() < 0.8))
        frames.append((truth, guess))
    evaluator = PropheseeEvaluator(("car",), 240, 320, min_diag=0, min_side=5, skip_us=0)
    for truth, guess in frames:
        evaluator.add([truth], [guess])
    found = rates(match_frames(frames, evaluator))
    best_from = np.maximum.accumulate(found.precision[::-1])[::-1]
    grid = [best_from[found.recall >= r].max(initial=0) for r in np.linspace(0, 1, 101)]
    assert np.mean(grid) == pytest.approx(evaluator.compute()["AP_50"], abs=0.01)


def test_confusion_counts_every_label_and_every_detection(matches):
    assert confusion(matches, 2, 0.45).tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert confusion(matches, 2, 0.85).tolist() == [[1, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_calibration_and_sizes(matches):
    mean, share, count = calibration(matches.score, matches.right)
    assert mean.tolist() == pytest.approx([0.4, 0.5, 0.8, 0.9], abs=1e-6)
    assert (share.tolist(), count.tolist()) == ([0, 0, 0, 1], [1, 1, 1, 1])
    assert size_rows(matches, 0.45)[0] == ("small", 3, pytest.approx(100 / 3), pytest.approx(100 / 3))
    assert size_rows(matches, 0.45)[2] == ("large", 0, None, None)


def test_best_and_worst_frames(matches):
    assert chosen_frames(matches, 3, 0.85) == {"best": [(0, 1, 0, 0)], "worst": [(1, 0, 0, 2)]}


def test_nothing_found_and_what_is_kept(tmp_path):
    none = match_frames([(boxes((10, 0, 1)), boxes())], EVALUATOR)
    assert rates(none).best() is None
    assert confusion(none, 2, 0.5)[0, 2] == 1
    none.save(tmp_path / "m.npz", {"captions": np.array(["a"])})
    back, more = load_matches(tmp_path / "m.npz")
    assert back.label_score.tolist() == [-1]
    assert more["captions"].tolist() == ["a"]
