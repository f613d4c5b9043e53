"""Labels to show may be boxes in any layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.box_files.classes import ClassNames
from data.box_files.read import BoxContext
from data.box_files.times import ImageTimes
from data.sequences.stored_labels import LABEL_DIR
from modules.playback.boxes import find_labels, load_labels
from tests.helpers.recordings.box_layouts import HW, RATE_HZ, some_boxes, time_us, write_coco, write_csv, write_yolo
from utils.errors import UserError

NAMES = ClassNames(("dog",))
OTHERS = ("dog", "bicycle", "pedestrian")
"""Names that are known come first, those of the file behind them."""


def test_a_table_beside_a_recording_is_found(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "drive_bbox.csv", some_boxes())
    assert find_labels(tmp_path / "drive_td.dat") == path
    track = load_labels(path, context=BoxContext(NAMES))
    assert track.times_us.tolist() == [time_us(frame) for frame in range(4)]
    assert track.names == OTHERS
    (drawn, _) = track.at(time_us(1), 10_000, 0, track.names)
    assert drawn.text == "bicycle"


@pytest.mark.parametrize("write", [lambda path, boxes: write_coco(path / "labels.json", boxes), write_yolo])
def test_images_of_a_recording_are_found_among_others(write, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    path = write(tmp_path / "labels", {"drive": some_boxes(2), "other": some_boxes(3)})
    track = load_labels(path, context=BoxContext(NAMES, HW, ImageTimes(RATE_HZ), recording="drive"))
    assert (track.num_boxes, len(track.times_us), track.names) == (4, 2, OTHERS)


def test_boxes_on_images_without_times_say_what_is_missing(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "drive.json", {"drive": some_boxes(2)})
    with pytest.raises(UserError, match="rate"):
        load_labels(path, context=BoxContext(NAMES))


def test_boxes_left_out_are_not_drawn(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "drive_bbox.csv", some_boxes())
    assert load_labels(path, context=BoxContext(ClassNames(None, {"dog": None}))).num_boxes == 6


def test_a_folder_of_sequences_is_no_truth_of_one_recording(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "test" / name / LABEL_DIR).mkdir(parents=True)
    with pytest.raises(UserError, match=r"a folder of sequences \(2\)"):
        load_labels(tmp_path, context=BoxContext(NAMES))
