"""Boxes of every layout come to the same rows; what is wrong with a file is one message."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.box_files.classes import ClassNames
from data.box_files.read import BoxContext, boxes_beside, read_boxes, read_named_boxes
from data.box_files.times import ImageTimes, read_time_table
from data.events.bbox import write_bbox_npy
from tests.helpers.recordings.box_layouts import (
    CLASSES,
    HW,
    RATE_HZ,
    WRITERS,
    coco,
    some_boxes,
    time_us,
    write_csv,
)
from utils.boxes import LEFT_OUT_CLASS
from utils.errors import UserError

RATE = ImageTimes(RATE_HZ)
FROM_ONE = {str(index + 1): name for index, name in enumerate(CLASSES)}


def context(times: ImageTimes = RATE, recording: str | None = "a", **renamed: str | None) -> BoxContext:
    return BoxContext(ClassNames(CLASSES, renamed), HW, times, recording=recording)


@pytest.fixture
def rows(tmp_path: Path) -> np.ndarray:
    """The boxes as a table gives them."""
    path = write_csv(tmp_path / "table" / "a_bbox.csv", some_boxes())
    return read_boxes(path, BoxContext(ClassNames(CLASSES)))


def test_a_table_has_times_and_names(rows: np.ndarray) -> None:
    boxes = some_boxes()
    assert rows["t"].tolist() == [time_us(box.frame) for box in boxes]
    assert rows["class_id"].tolist() == [box.class_id for box in boxes]
    for name in ("x", "y", "w", "h"):
        assert rows[name].tolist() == [getattr(box, name) for box in boxes]


@pytest.mark.parametrize("layout", WRITERS)
def test_each_layout_gives_the_same_rows(layout: str, rows: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "boxes").mkdir()
    path = WRITERS[layout](tmp_path / "boxes", {"a": some_boxes(), "b": some_boxes(2)})
    renamed = FROM_ONE if layout == "mot" else {}
    np.testing.assert_array_equal(read_boxes(path, context(**renamed)), rows)
    assert len(read_boxes(path, context(recording="b", **renamed))) == 4
    with pytest.raises(UserError, match="2 series"):
        read_boxes(path, context(recording="c", **renamed))


def test_columns_have_many_names_and_units(rows: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a_bbox.csv"
    path.write_text("xmin;ymin;xmax;ymax;Time_s;category_id\n1;2;4.5;6;0.1;2.0\n\n# done\n")
    (row,) = read_boxes(path, BoxContext())
    assert row.tolist()[:6] == (100_000, 1, 2, 3.5, 4, 2)


def test_shares_with_all_their_digits_are_not_rounded(tmp_path: Path) -> None:
    x, w = 20.123456, 41.987654
    path = tmp_path / "a_3.txt"
    path.write_text(f"0 {(x + w / 2) / HW[1]!r} 0.5 {w / HW[1]!r} 0.25")
    (row,) = read_boxes(path, context())
    assert (row["x"], row["w"]) == (np.float32(x), np.float32(w))


def test_times_by_a_field_a_table_or_a_rate(tmp_path: Path) -> None:
    content = coco({"a": some_boxes(3)})
    path, table = tmp_path / "a.json", tmp_path / "times.csv"
    path.write_text(json.dumps(content))
    table.write_text("image,t_ms\n000000.png,5\na/000001.png,6.5\n2,7\n")
    plain = tmp_path / "times.txt"
    plain.write_text("100\n200\n300\n")

    def times(how: ImageTimes) -> list[int]:
        return np.unique(read_boxes(path, context(how))["t"]).tolist()

    with pytest.raises(UserError, match="rate_hz"):
        times(ImageTimes())
    assert times(ImageTimes(table={**read_time_table(table), "000001": 6500})) == [5000, 6500, 7000]
    assert times(ImageTimes(start_us=10, table=read_time_table(plain))) == [110, 210, 310]
    assert times(ImageTimes(50, start_us=1000, first_image=1)) == [-19000, 1000, 21000]
    for image, second in zip(content["images"], (0.1, 0.2, 0.3), strict=True):
        image["timestamp_s"] = second
    path.write_text(json.dumps(content))
    assert times(ImageTimes()) == [100_000, 200_000, 300_000]


def test_boxes_that_do_not_count_are_marked(tmp_path: Path) -> None:
    content = coco({"a": some_boxes(2)})
    content["annotations"][1]["iscrowd"] = 1
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    ids = read_boxes(path, context(dog=None))["class_id"].tolist()
    assert ids == [0, LEFT_OUT_CLASS, 1, LEFT_OUT_CLASS]
    mot = tmp_path / "gt.txt"
    mot.write_text("1,1,5,5,9,9,0,1,1\n1,2,5,5,9,9,1,1,1\n")
    assert read_boxes(mot, context())["class_id"].tolist() == [LEFT_OUT_CLASS, 1]
    kitti = tmp_path / "000001.txt"
    kitti.write_text("DontCare -1 -1 -10 1 2 4 6 -1 -1 -1 -1 -1 -1 -1\nDog 0 0 0 1 2 4 6 1 1 1 1 1 1 1\n")
    assert read_boxes(kitti, context())["class_id"].tolist() == [LEFT_OUT_CLASS, 2]


def test_names_are_mapped_and_unknown_ones_are_told_together(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a_bbox.csv", some_boxes())
    few = ClassNames(("person", "animal"), {"pedestrian": "person", "dog": "animal"})
    with pytest.raises(UserError, match=r"bicycle \(3 boxes\)"):
        read_boxes(path, BoxContext(few))
    with pytest.raises(UserError, match="cat"):
        ClassNames(("person",), {"pedestrian": "cat"})
    boxes, names = read_named_boxes(path, BoxContext(few))
    assert names == ("person", "animal", "bicycle")
    assert boxes["class_id"].tolist() == [0, 2, 2, 1, 1, 0, 0, 2]
    write_bbox_npy(tmp_path / "b_bbox.npy", boxes)
    folded = BoxContext(ClassNames(("person",), {"1": "person", "2": None}))
    assert set(read_boxes(tmp_path / "b_bbox.npy", folded)["class_id"].tolist()) == {0, LEFT_OUT_CLASS}


def test_one_file_of_boxes_lies_beside_a_recording(tmp_path: Path) -> None:
    assert boxes_beside(tmp_path / "a_td.dat").name == "a_bbox.npy"
    write_csv(tmp_path / "a_bbox.csv", some_boxes())
    assert boxes_beside(tmp_path / "a_td.dat").name == "a_bbox.csv"
    (tmp_path / "a_bbox.npy").touch()
    with pytest.raises(UserError, match=r"a_bbox\.npy and a_bbox\.csv"):
        boxes_beside(tmp_path / "a_td.dat")


BAD = [
    ("a.csv", "", "empty"),
    ("a.csv", "1,2,3,4,5,6\n", "columns"),
    ("a.csv", "t,x,y,w,h,class\n1,2,3,4,5\n", "line 2"),
    ("a.csv", "t,x,y,w,h,class\n0.1,2,3,4,5,dog\n", "t_ms"),
    ("a.csv", "t,x,y,w,h,class\n1,2,three,4,5,dog\n", "line 2"),
    ("a.csv", "t,x,y,w,h,class\n1e99,2,3,4,5,dog\n", "62 bits"),
    ("a.json", "[]", "images"),
    ("a.json", "{", "COCO"),
    ("a.json", '{"images": [], "annotations": [{"image_id": 1}]}', "annotation 0"),
    ("a.json", '{"images": [{"id": 1}], "annotations": [{"image_id": 1, "bbox": [1, 2]}]}', "bbox"),
    ("a.json", '{"images": [{"id": 1}, {"id": 1}], "annotations": []}', "one id"),
    ("a.json", '{"images": [{"id": 1, "height": 4, "width": 5}], "annotations": []}', "5 x 4"),
    ("a_1.txt", "0 0.5 0.5 0.1\n", "centre x"),
    ("a_1.txt", "0 100 50 20 20\n", "centre x"),
    ("gt.txt", "0.5,1,2,3,4,5\n", "frame"),
    ("a_1.txt", "Dog 0 0 0 1 2 4\n", "centre x"),
    ("a_1.xml", "<annotation><object/></annotation>", "object 0"),
    ("a_1.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "document type"),
    ("a_1.xml", "<annotation>", "Pascal VOC"),
    ("a_1.xml", "<annotations><image/></annotations>", "<annotations>"),
    ("a.parquet", "", "a.parquet"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_mistakes_are_told(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as told:
        read_boxes(tmp_path / name, context())
    assert message in str(told.value)


@pytest.mark.parametrize("layout", ["csv", *WRITERS])
def test_no_damage_ends_in_another_error(layout: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("boxes")
    write = WRITERS.get(layout, lambda path, boxes: write_csv(path / "a_bbox.csv", boxes["a"]))
    path = write(folder, {"a": some_boxes(1)})
    file = path if path.is_file() else next(file for file in path.rglob("*") if file.is_file())
    whole = file.read_bytes()

    @given(st.integers(0, len(whole)), st.binary(max_size=4), st.integers(0, 4))
    def damaged(at: int, put: bytes, left_out: int) -> None:
        file.write_bytes(whole[:at] + put + whole[at + left_out :])
        try:
            read_boxes(file, BoxContext(ClassNames(CLASSES), HW, RATE, layout=layout))
        except UserError:
            return

    damaged()
