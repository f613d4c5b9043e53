"""Boxes inside AEDAT4 recordings are labels like any others."""

from __future__ import annotations

from data.box_files.classes import ClassNames
from data.box_files.read import BoxContext, boxes_beside, read_boxes
from data.events.bbox import write_bbox_npy
from tests.data.events.test_aedat4_boxes import LZ4, write


def test_boxes_inside_a_recording_are_taken_if_none_lie_beside(tmp_path):
    path = tmp_path / "a.aedat4"
    write(path, LZ4, 1)
    assert boxes_beside(path) == path
    boxes = read_boxes(path, BoxContext(ClassNames(("car", "person"), {"Person é": "person"})))
    assert boxes["class_id"].tolist() == [1, 0] * 3
    assert (boxes["t"][1], boxes["x"][1], boxes["w"][1]) == (10**15 + 50_000, 10.5, 49.75)
    write_bbox_npy(tmp_path / "a_bbox.npy", boxes)
    assert boxes_beside(path) == tmp_path / "a_bbox.npy"
