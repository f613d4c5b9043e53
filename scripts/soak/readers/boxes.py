"""Readers of boxes that other tools wrote, in each layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from data.box_files.classes import ClassNames
from data.box_files.read import BoxContext, read_named_boxes
from data.box_files.times import ImageTimes, read_time_table
from scripts.soak.readers.reader import HW, Reader
from utils.atomic import write_text

CONTEXT = BoxContext(ClassNames(("car", "pedestrian")), HW, ImageTimes(rate_hz=20.0))
SIZE = f"<size><width>{HW[1]}</width><height>{HW[0]}</height></size>"
CORNERS = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40.5</ymax></bndbox>"
OBJECT = f"<object><name>car</name>{CORNERS}</object>"
COCO = {
    "images": [
        {"id": 1, "file_name": "a/000001.png", "height": HW[0], "width": HW[1]},
        {"id": 2, "file_name": "000002.png"},
    ],
    "annotations": [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40.5]},
        {"image_id": 2, "category_id": 2, "bbox": [0, 0, 5, 5]},
    ],
    "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "pedestrian"}],
}


def _file(name: str, *lines: str) -> Callable[[Path], Path]:
    """A text beside nothing, in a folder of its own."""

    def write(folder: Path) -> Path:
        path = folder / "boxes" / name
        path.parent.mkdir(parents=True)
        write_text(path, "\n".join([*lines, ""]))
        return path

    return write


def _read_as(layout: str, *, folder: bool = True, timed: bool = False) -> Callable[[Path], object]:
    """Read a file, or the folder that holds it, as of this layout; one without times of its own by a camera's rate."""
    context = BoxContext(CONTEXT.classes, HW, ImageTimes() if timed else CONTEXT.times, layout)

    def read(path: Path) -> object:
        root = next(parent for parent in path.parents if parent.name == "boxes") if folder else path
        return read_named_boxes(root, context)

    return read


READERS = (
    Reader(
        "labels/table.csv",
        _file("a_bbox.csv", "t,x,y,w,h,class", "50000,1,2,30,40.5,car", "100000,0,0,5,5,pedestrian"),
        _read_as("auto", folder=False, timed=True),
    ),
    Reader("labels/coco.json", _file("labels.json", json.dumps(COCO)), _read_as("coco", folder=False)),
    Reader(
        "labels/yolo.txt of a folder", _file("000001.txt", "0 0.5 0.5 0.2 0.2", "1 0.25 0.5 0.1 0.3"), _read_as("yolo")
    ),
    Reader("labels/voc.xml", _file("000001.xml", f"<annotation>{SIZE}{OBJECT}</annotation>"), _read_as("voc")),
    Reader("labels/mot.txt", _file("a/gt/gt.txt", "1,1,1,2,30,40.5,1,1,1", "2,1,0,0,5,5,1,2,1"), _read_as("mot")),
    Reader(
        "labels/kitti.txt",
        _file("a.txt", "0 0 Car 0 0 -1.5 1 2 31 42.5 1 1 1 0 0 0 0", "1 0 Pedestrian 0 0 -1.5 0 0 5 5 1 1 1 0 0 0 0"),
        _read_as("kitti"),
    ),
    Reader(
        "labels/times of images.csv",
        _file("times.csv", "image,t", "000001.png,50000", "000002.png,100000"),
        read_time_table,
    ),
)
