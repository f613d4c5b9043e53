"""Thresholds from the precision on labelled frames: what is right, the least score, and where it comes from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modules.labelling.frequency import Frequency
from modules.labelling.precision import Precision, RightBoxes, right_boxes
from modules.labelling.retrack import retrack_dataset
from tests.modules.labelling.test_pseudo_labeler import (
    SEQUENCES,
    label,
    read,
    settings,
    source,  # noqa: F401 # a fixture
)
from utils.boxes import BBOX_DTYPE, FloatArray, Label
from utils.errors import UserError


def rows(*boxes: tuple[float, ...]) -> FloatArray:
    """Boxes of x, class and score, ten pixels wide and high."""
    found = np.zeros((len(boxes), len(Label)), dtype=np.float32)
    for row, (x, class_id, score) in zip(found, boxes, strict=True):
        row[Label.X], row[Label.CLASS_ID], row[Label.OBJECTNESS] = x, class_id, score
        row[Label.WH], row[Label.CLASS_CONFIDENCE] = 10, 1
    return found


def truth(*boxes: tuple[float, ...]) -> np.ndarray:
    records = np.zeros(len(boxes), dtype=BBOX_DTYPE)
    for record, (x, class_id) in zip(records, boxes, strict=True):
        record["t"], record["x"], record["w"], record["h"], record["class_id"] = 1, x, 10, 10, class_id
    return records


def test_a_label_is_for_one_box_of_its_class() -> None:
    labels = rows((0, 0, 1), (50, 1, 1))
    found = rows((2, 0, 0.5), (1, 0, 0.9), (50, 0, 0.9), (53, 1, 0.2), (90, 1, 0.9))
    assert right_boxes(found, labels).tolist() == [False, True, False, True, False]
    assert right_boxes(found, labels[:0]).tolist() == [False] * 5
    assert right_boxes(found[:0], labels).tolist() == []


def test_the_least_score_from_which_enough_is_right() -> None:
    counts = RightBoxes(3)
    with pytest.raises(UserError, match="thresholds=precision"):
        counts.thresholds(0.5)
    counts.add([(truth((0, 0), (50, 0)), rows((0, 0, 0.9), (50, 0, 0.7), (90, 0, 0.6), (90, 1, 0.4)))])
    counts.add([(truth((0, 0)), rows((0, 0, 0.5), (70, 0, 0.3), (90, 0, 0.2)))])
    assert counts.thresholds(0.75) == pytest.approx((0.5, 1.0001, 1.0001), abs=1e-3)
    assert counts.thresholds(0.8) == pytest.approx((0.7, 1.0001, 1.0001), abs=1e-3)
    assert counts.thresholds(0) == pytest.approx((0.2, 0.4, 1.0001), abs=1e-3)


def test_labelled_frames_tell_and_keep_their_truth(source: Path, tmp_path: Path) -> None:  # noqa: F811
    # The labels of this dataset lie beside what is seen, so that no box is right.
    config = settings(precision=Precision(0.5), keep_views=True)
    nothing = label(source, tmp_path / "nothing" / "train", config)
    assert (nothing["pseudo"], nothing["ground_truth"] > 0) == (0, True)
    summary = label(source, tmp_path / "all" / "train", replace(config, precision=Precision(0)))
    least = json.loads((tmp_path / "all" / "manifest.json").read_text())["thresholds"]["sure"]
    assert least[1] > 1 >= least[0] > 0.1
    kept = read(tmp_path / "all" / "train", "a").boxes
    assert (kept["objectness"][kept["t"] == 0] * 0.9 >= least[0] - 1e-4).all()
    assert summary["pseudo"] > 0
    assert summary["ground_truth"] == nothing["ground_truth"]

    again = retrack_dataset(
        replace(config, precision=Precision(0)), tmp_path / "nothing" / "train", tmp_path / "x" / "t"
    )
    assert {key: again[key] for key in ("pseudo", "frames")} == {key: summary[key] for key in ("pseudo", "frames")}
    other = replace(config, precision=None, frequency=Frequency(1))
    label(source, tmp_path / "other" / "train", other)
    with pytest.raises(UserError, match="without"):
        retrack_dataset(config, tmp_path / "other" / "train", tmp_path / "y" / "train")
    assert len(SEQUENCES) == again["sequences"]
