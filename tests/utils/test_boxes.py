"""Boxes by their columns: one order everywhere, and the same box after every way between its forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from utils.boxes import (
    BBOX_DTYPE,
    LABEL_COLUMNS,
    PROPHESEE_DTYPE,
    Detection,
    Label,
    detections_to_rows,
    paired_iou,
    records_to_rows,
    rows_to_records,
)


def detections(count: int = 7) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 50, (count, len(Detection))).astype(np.float32)
    rows[:, [Detection.X1, Detection.Y1]] += 60
    return rows


def test_columns_are_those_on_disk() -> None:
    assert LABEL_COLUMNS == BBOX_DTYPE.names == ("t", "x", "y", "w", "h", "class_id", "class_confidence", "objectness")
    rows = np.arange(8, dtype=np.float32)[None]
    assert [rows[0, Label.XY].tolist(), rows[0, Label.WH].tolist()] == [[1, 2], [3, 4]]
    assert rows[0, Label.XYWH].tolist() == [1, 2, 3, 4]


def test_one_box_in_every_form() -> None:
    found = detections()
    rows = detections_to_rows(found)
    for ours, theirs in zip(Label.corners(rows), Detection.corners(found), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("CLASS_ID", "CLASS_CONFIDENCE", "OBJECTNESS"):
        np.testing.assert_array_equal(rows[:, Label[name]], found[:, Detection[name]])
    np.testing.assert_array_equal(records_to_rows(rows_to_records(rows)), rows)
    assert rows_to_records(rows, PROPHESEE_DTYPE).dtype == PROPHESEE_DTYPE


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_both_forms_mirror_alike(kind: str) -> None:
    found = detections()
    rows, forms = detections_to_rows(found), (Label, Detection)
    boxes = [array if kind == "numpy" else torch.from_numpy(array) for array in (rows, found)]
    before = found.copy()
    for form, array in zip(forms, boxes, strict=True):
        form.mirror_(array, 200)
    for ours, theirs in zip(Label.corners(boxes[0]), Detection.corners(boxes[1]), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert not np.array_equal(found, before)
    Detection.mirror_(boxes[1], 200)
    np.testing.assert_array_equal(found, before)


def test_overlap() -> None:
    a = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4], [1, 1, 0, 0]], dtype=np.float64)
    b = np.array([[0, 0, 4, 4], [2, 0, 4, 4], [4, 4, 4, 4], [1, 1, 0, 0]], dtype=np.float64)
    np.testing.assert_allclose(paired_iou(a, b), [1, 1 / 3, 0, 0])
