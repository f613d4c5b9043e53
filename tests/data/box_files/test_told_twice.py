"""What box files tell twice, out of place or beside something else: never taken in silence for one of two things."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.box_files.classes import ClassNames
from data.box_files.picture import Picture
from data.box_files.read import BoxContext, read_boxes, read_named_boxes
from data.box_files.times import ImageTimes, read_time_table
from data.box_files.yolo import read_names
from utils.errors import UserError

CLASSES = ("car", "pedestrian")
HW = (32, 40)
BOX = "0 .5 .5 .5 .5\n"


def context(times: ImageTimes | None = None, **renamed: str | None) -> BoxContext:
    return BoxContext(ClassNames(CLASSES, renamed), HW, times or ImageTimes())


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def coco(path: Path, image: dict[str, object] | None = None, **more: object) -> Path:
    images = [{"id": 1, "file_name": "s0_1.png", "t_us": 500000, **(image or {})}]
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 20, 20]}
    annotation = {**box, **{key: more.pop(key) for key in ("category_id", "iscrowd") if key in more}}
    content = {"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "car"}], **more}
    return written(path, json.dumps(content))


CONTRADICTIONS = [
    ("t_ms,t,x,y,w,h,class\n500,900000,1,1,20,20,car\n", "t_ms = 500, t = 900000"),
    ("t,t,x,y,w,h,class\n5,9,1,1,20,20,car\n", "t = 5, t = 9"),
    ("t,x,y,w,h,class,x\n5,1,1,20,20,car,9\n", "x = 1, x = 9"),
    ("t,x,left,y,w,h,class\n5,1,2,1,20,20,car\n", "x = 1, left = 2"),
    ("t,x,y,w,h,x1,y1,x2,y2,class\n5,0,0,40,32,1,1,5,5,car\n", "w = 40, h = 32, x1 = 1"),
    ("t,x,y,w,h,class,class_name\n5,1,1,20,20,car,pedestrian\n", "class_name = pedestrian, class = car"),
    ("t,x,y,w,h,class,class_id\n5,1,1,20,20,0,1\n", "class = 0, class_id = 1"),
    ("t,image,file,x,y,w,h,class\n5,a.png,b.png,1,1,20,20,car\n", "image = a.png, file = b.png"),
    ("t,x,y,w,h,class\n5,1_0,1,20,20,car\n", "1_0 1 20 20"),
    ("t,x,y,w,h,class\n5_00,1,1,20,20,car\n", "t = 5_00"),
    ("t,x,y,w,h,class\n5,1,1,20,20,\n", "nothing in class"),
    ("class,t,x,y,w,h\n#car,5,1,1,20,20\ncar,6,1,1,20,20\n", "#car,5,1,1,20,20"),
]


@pytest.mark.parametrize(("text", "got"), CONTRADICTIONS)
def test_a_table_that_contradicts_itself(text: str, got: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        read_boxes(written(tmp_path / "s0.csv", text), context())
    assert got in told.value.got
    assert "line 2" in told.value.where


def test_columns_that_agree(tmp_path: Path) -> None:
    text = (
        "# made by hand, 2 boxes, 1, 2, 3, 4, 5, 6, 7, 8, 9\n"
        "t_ms,t,x,y,w,h,xmin,ymin,xmax,ymax,class_id,class_name,label,image,frame\n"
        "500,500000,1,2,20,20,1.0,2,21,22,1,car,Car,a.png,7\n# no row\n"
        '0.5,500,1,2,20,20,1.0,2,21,22,0,"car",,a.png,7\n'
    )
    rows = read_boxes(written(tmp_path / "s0.csv", text), context())
    assert [row.tolist()[:6] for row in rows] == [(500_000, 1, 2, 20, 20, 0), (500, 1, 2, 20, 20, 0)]


@pytest.mark.parametrize(("name", "of"), [("s9", "s9"), ("friday", "friday"), ("s0", "s9"), ("frame", "s0")])
def test_a_table_beside_a_recording_has_its_images(name: str, of: str, tmp_path: Path) -> None:
    (tmp_path / "friday_td.dat").touch()
    text = f"t,image,x,y,w,h,class\n5,{name}_1.png,1,1,20,20,car\n5,{of}_2.png,1,1,20,20,car\n"
    path = written(tmp_path / "s0_bbox.csv", text)
    if name == "frame":
        text = text.replace(of, name)
        path.write_text(text)
        assert len(read_named_boxes(path, context())[0]) == 2
        return
    with pytest.raises(UserError, match="beside which the file lies") as told:
        read_named_boxes(path, context())
    assert f"{of}_2.png" in told.value.got


def test_times_of_a_file_and_of_a_setting(tmp_path: Path) -> None:
    table = written(tmp_path / "s0.csv", "t,x,y,w,h,class\n500000,1,1,20,20,car\n")
    for path in (table, coco(tmp_path / "s0.json")):
        for how in (ImageTimes(rate_hz=30), ImageTimes(table={"0": 7, "1": 7})):
            with pytest.raises(UserError, match="500000 µs by the file") as told:
                read_boxes(path, context(how))
            assert told.value.fix.startswith("drop rate_hz" if how.rate_hz else "drop times")
        assert read_boxes(path, context(ImageTimes(start_us=1)))["t"].tolist() == [500_001]
    agreed = ImageTimes(rate_hz=2, start_us=1)
    assert read_boxes(coco(tmp_path / "s0.json"), context(agreed))["t"].tolist() == [500_001]
    for image in ({"time_s": 0.6}, {"t_us": True}, {"time_s": "0_5"}):
        with pytest.raises(UserError, match=r"time_s = |t_us = True"):
            read_boxes(coco(tmp_path / "s0.json", image), context())


def test_settings_that_change_nothing_are_refused() -> None:
    with pytest.raises(UserError, match="drop one of them"):
        ImageTimes(rate_hz=30, table={})
    for table in (None, {}):
        with pytest.raises(UserError, match="drop first_image"):
            ImageTimes(first_image=0, table=table)


def test_lines_of_times_count_as_the_layout_counts(tmp_path: Path) -> None:
    times = ImageTimes(table=read_time_table(written(tmp_path / "t.txt", "# in µs\n100\n200\n300\n\n")))
    mot = written(tmp_path / "s0.txt", "1,-1,1,1,9,9,1,0\n3,-1,1,1,9,9,1,1\n")
    assert read_boxes(mot, context(times))["t"].tolist() == [100, 300]
    for number, us in ((0, 100), (2, 300)):
        assert read_boxes(written(tmp_path / f"s0_{number}.txt", BOX), context(times))["t"].tolist() == [us]
    with pytest.raises(UserError, match="in 3 lines, the first for image 0"):
        read_boxes(written(tmp_path / "s0_3.txt", BOX), context(times))


BAD_TIMES = [
    ("100\n\n200\n", "a blank line"),
    ("t_us\n100\n#150\n200\n", "#150"),
    ("image,t_us\n1,5\n1,9\n", "5 and 9 µs"),
    ("image,t_us,t_ms\n1,5000,9\n", "t_us = 5000, t_ms = 9"),
    ("image,t_us\n1,1_0\n", "t_us = 1_0"),
]


@pytest.mark.parametrize(("text", "got"), BAD_TIMES)
def test_tables_of_times_that_contradict_themselves(text: str, got: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        read_time_table(written(tmp_path / "t.csv", text))
    assert got in told.value.got


def test_an_image_that_a_table_calls_by_two_names(tmp_path: Path) -> None:
    table = read_time_table(written(tmp_path / "t.csv", "image,t_us\n1,5\n1,5\ns0_1,6\n"))
    with pytest.raises(UserError, match="5 µs for 1"):
        read_boxes(written(tmp_path / "s0_1.txt", BOX), context(ImageTimes(table=table)))


def test_names_of_classes_go_by_line(tmp_path: Path) -> None:
    written(tmp_path / "classes.txt", "#0\n\ncar\n")
    assert read_names(tmp_path) == {"0": "#0", "2": "car"}
    read_boxes(written(tmp_path / "s0_1.txt", BOX.replace("0", "2", 1)), context(ImageTimes(30)))
    with pytest.raises(UserError, match=r"none for 1 \(1 boxes\)"):
        read_boxes(written(tmp_path / "s0_1.txt", BOX.replace("0", "1", 1)), context(ImageTimes(30)))
    written(tmp_path / "data.yaml", "names: {2: car, 3: van}\n")
    assert read_names(tmp_path)["3"] == "van"
    written(tmp_path / "data.yaml", "names: [car, van, truck]\n")
    with pytest.raises(UserError, match="class 0"):
        read_names(tmp_path)


def test_categories_of_coco(tmp_path: Path) -> None:
    path = tmp_path / "s0.json"
    for more in ({"category_id": 0}, {"categories": []}):
        number = str(more.get("category_id", 1))
        with pytest.raises(UserError, match=rf"none for {number} \(1 boxes\)"):
            read_boxes(coco(path, **more), context())
        renamed = context(**{number: "pedestrian"})
        assert read_boxes(coco(path, **more), renamed)["class_id"].tolist() == [1]
    assert len(read_named_boxes(path, BoxContext())[0]) == 1, "who can do with any class needs no name"
    for other, message in (("pedestrian", "name = pedestrian"), ("car", "")):
        coco(path, categories=[{"id": 1, "name": "car"}, {"id": 1, "name": other}])
        if message:
            with pytest.raises(UserError, match=message):
                read_boxes(path, context())
        else:
            assert read_boxes(path, context())["class_id"].tolist() == [0]


def test_marks_and_keys_of_coco(tmp_path: Path) -> None:
    path = tmp_path / "s0.json"
    assert read_boxes(coco(path, iscrowd="0"), context())["class_id"].tolist() == [0]
    with pytest.raises(UserError, match="iscrowd = no"):
        read_boxes(coco(path, iscrowd="no"), context())
    text = coco(path).read_text()
    with pytest.raises(UserError, match="annotations twice"):
        read_boxes(written(path, text[:-1] + ', "annotations": []}'), context())


def test_a_folder_of_several_layouts(tmp_path: Path) -> None:
    coco(tmp_path / "s0.json")
    written(tmp_path / "README.txt", "These are boxes of a street\n")
    assert len(read_boxes(tmp_path, context())) == 1
    written(tmp_path / "a" / "s0_1.txt", BOX)
    written(tmp_path / "s1.xml", "<annotation/>")
    with pytest.raises(UserError, match=r"yolo: a/s0_1\.txt"):
        read_boxes(tmp_path, context())


def test_the_way_out_can_be_typed() -> None:
    with pytest.raises(UserError) as told:
        ClassNames(CLASSES).ids(["", "a:b", "big van"], "s0.csv")
    assert "class_names={big van:NAME}" in told.value.fix
    with pytest.raises(UserError) as told:
        ClassNames(CLASSES).ids(["", "a:b"], "s0.csv")
    assert "in the dataset's file" in told.value.fix
    assert "++" not in told.value.fix


def test_a_table_may_name_the_endings_of_images_that_their_boxes_do_not_know(tmp_path: Path) -> None:
    table = read_time_table(written(tmp_path / "t.csv", "image,t_us\nday/7.png,5\n8.png,6\n"))
    assert ImageTimes(table=table).of(Picture("day/7", ()), "here") == 5
    assert ImageTimes(table=table).of(Picture("day/8", ()), "here") == 6
