"""Views merged by agreement: what few views saw scores low, and boxes become means."""

from __future__ import annotations

import numpy as np
import pytest

from modules.evaluation.agreement import Agreement, agree, agreement_from_config
from modules.evaluation.views import merge_views
from utils.boxes import Detection, FloatArray, Label, detections_to_rows
from utils.errors import UserError

NONE = np.zeros((0, len(Detection)), dtype=np.float32)


def view(*boxes: tuple[float, ...]) -> FloatArray:
    return np.array(boxes, dtype=np.float32).reshape(-1, len(Detection))


def test_objects_of_all_views_pass_objects_of_one() -> None:
    seen_by_all = [view((10 + shift, 10, 30 + shift, 30, 0.6, 0.8, 0)) for shift in (0, 1, 2, 1)]
    seen_by_all[2] = np.concatenate([seen_by_all[2], view((60, 60, 80, 90, 0.9, 0.9, 1))])
    rows, spread = agree(seen_by_all, Detection, 0.5)
    np.testing.assert_allclose(rows[0], [11, 10, 31, 30, 0.6, 0.8, 0], atol=1e-5)
    np.testing.assert_allclose(rows[1], [60, 60, 80, 90, 0.9 / 4, 0.9, 1], atol=1e-5)
    assert spread[0] == pytest.approx(np.sqrt(0.5 / 2) / 20)  # x alone varies, by 0.5 in the square
    assert spread[1] == 0


def test_means_are_weighted_by_score() -> None:
    views = [view((0, 0, 20, 20, 0.9, 1, 0)), view((4, 0, 24, 20, 0.3, 1, 0)), NONE]
    rows, _ = agree(views, Detection, 0.5)
    np.testing.assert_allclose(rows, [[1, 0, 21, 20, 0.4, 1, 0]], atol=1e-6)


def test_a_group_has_one_box_of_a_view_one_class_and_enough_overlap() -> None:
    box = (10, 10, 30, 30, 0.9, 0.9, 0)
    twice = [
        view(box, (11, 10, 31, 30, 0.8, 0.9, 0)),
        view((10, 10, 30, 30, 0.5, 0.9, 1)),
        view((20, 10, 40, 30, 0.4, 0.9, 0)),
    ]
    rows, _ = agree(twice, Detection, 0.5)
    assert rows[:, Detection.OBJECTNESS] == pytest.approx(np.array([0.9, 0.8, 0.5, 0.4]) / 3)
    assert len(agree(twice, Detection, 0.3)[0]) == 3


def test_boxes_join_the_running_mean() -> None:
    views = [view((0, 0, 20, 20, 0.9, 1, 0)), view((6, 0, 26, 20, 0.9, 1, 0)), view((9, 0, 29, 20, 0.8, 1, 0))]
    assert len(agree(views, Detection, 0.5)[0]) == 1  # the last one overlaps the first by a third only
    assert len(agree([views[0], views[2]], Detection, 0.5)[0]) == 2


def test_labels_and_detections_are_merged_alike() -> None:
    rng = np.random.default_rng(0)
    views = []
    for count in (5, 0, 7, 6):
        corners, sizes = rng.uniform(0, 60, (count, 2)), rng.uniform(5, 40, (count, 2))
        scores, classes = rng.uniform(0, 1, (count, 2)), rng.integers(0, 2, (count, 1))
        views.append(np.concatenate([corners, corners + sizes, scores, classes], axis=1).astype(np.float32))
    found = merge_views(views, Detection, agreement=Agreement())
    labels = merge_views([detections_to_rows(part) for part in views], Label, agreement=Agreement())
    np.testing.assert_allclose(detections_to_rows(found), labels, atol=1e-4)
    scores = found[:, Detection.OBJECTNESS] * found[:, Detection.CLASS_CONFIDENCE]
    assert (np.diff(scores) <= 0).all()


def test_nothing_and_scores_of_zero() -> None:
    rows, spread = agree([NONE, NONE], Detection, 0.5)
    assert rows.shape == (0, 7)
    assert spread.shape == (0,)
    rows, _ = agree([view((0, 0, 9, 9, 0, 0.5, 0)), view((0, 0, 9, 9, 0, 0.7, 0))], Detection, 0.5)
    np.testing.assert_allclose(rows, [[0, 0, 9, 9, 0, 0.6, 0]], atol=1e-6)


def test_settings() -> None:
    assert agreement_from_config({"tta": {"enable": True}}) is None  # of an earlier version
    given = {"merge": "agreement", "merge_iou": 0.6, "merge_floor": 0, "max_spread": 0.2}
    assert agreement_from_config({"tta": given}) == Agreement(0.6, 0.0, 0.2)
    with pytest.raises(UserError, match=r"tta\.merge"):
        agreement_from_config({"tta": {"merge": "votes"}})
