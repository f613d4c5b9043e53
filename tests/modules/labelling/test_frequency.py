"""Thresholds by which unlabelled frames get as many boxes of each class as labelled ones have."""

from __future__ import annotations

import numpy as np
import pytest

from modules.labelling.frequency import BoxCounts, ProductThresholds
from utils.boxes import BBOX_DTYPE, IGNORE_LABEL, FloatArray, Label
from utils.errors import UserError


def records(*classes: int) -> np.ndarray:
    boxes = np.zeros(len(classes), dtype=BBOX_DTYPE)
    boxes["class_id"] = classes
    return boxes


def candidates(class_id: int, *scores: float) -> FloatArray:
    rows = np.zeros((len(scores), len(Label)), dtype=np.float32)
    rows[:, Label.CLASS_ID], rows[:, Label.OBJECTNESS], rows[:, Label.CLASS_CONFIDENCE] = class_id, scores, 1
    return rows


def kept(counts: BoxCounts, factor: float, rows: FloatArray) -> int:
    limits = ProductThresholds(counts.thresholds(factor))
    return int(limits.mask(rows[:, Label.CLASS_ID], rows[:, Label.OBJECTNESS], rows[:, Label.CLASS_CONFIDENCE]).sum())


def test_each_class_gets_its_frequency() -> None:
    rng = np.random.default_rng(0)
    cars, people = candidates(0, *rng.uniform(0, 1, 400)), candidates(1, *rng.uniform(0, 0.2, 400))
    counts, other_way = BoxCounts(3), BoxCounts(3)
    # Two labelled frames hold 3 cars, a person and something unknown; 60 frames are to get 90 and 30.
    counts.add([records(0, 0), records(0, 1, IGNORE_LABEL)], 20, np.concatenate([cars[:100], people]))
    counts.add([], 40, cars[100:])
    assert kept(counts, 1, cars) == pytest.approx(90, abs=1)
    assert kept(counts, 1, people) == pytest.approx(30, abs=2)
    assert kept(counts, 2, cars) == pytest.approx(180, abs=2)
    assert kept(counts, 100, people) == len(people)
    assert counts.thresholds(1)[2] > 1, "what no labelled frame holds gets no labels"
    assert kept(counts, 1, candidates(2, 1.0)) == kept(counts, 9, candidates(IGNORE_LABEL, 1.0)) == 0

    other_way.add([], 40, cars[100:])
    other_way.add([records(0, 0), records(0, 1, IGNORE_LABEL)], 20, np.concatenate([cars[:100], people]))
    assert other_way.thresholds(1.3) == counts.thresholds(1.3)


def test_it_takes_labelled_frames() -> None:
    counts = BoxCounts(2)
    counts.add([], 40, candidates(0, 0.5))
    with pytest.raises(UserError, match="use_gt"):
        counts.thresholds(1)
