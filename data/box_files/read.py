"""A file or folder of boxes in any layout becomes rows of ours; which file lies beside a recording."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.box_files.classes import ClassNames
from data.box_files.layouts import read_pictures
from data.box_files.picture import Picture, without_ending
from data.box_files.times import ImageTimes
from data.events.bbox import read_bbox_npy
from data.events.formats.aedat4.boxes import holds_boxes
from data.events.open import SUFFIXES
from data.events.recording import recording_name
from utils.boxes import BBOX_DTYPE, LEFT_OUT_CLASS
from utils.errors import UserError

BESIDE = ("_bbox.npy", "_bbox.csv")
"""Endings of the files that lie beside recordings."""


@dataclass(frozen=True)
class BoxContext:
    """What a file of boxes does not say by itself.

    Attributes:
        classes: class ids by the names and numbers of the file.
        hw: height and width of the images in pixels; None takes any (YOLO needs them).
        times: when images were taken.
        layout: one of ``data.box_files.layouts.LAYOUTS``, or ``auto``.
        recording: whose images are wanted, if they are of several; None: all.
    """

    classes: ClassNames = field(default_factory=ClassNames)
    hw: tuple[int, int] | None = None
    times: ImageTimes = field(default_factory=ImageTimes)
    layout: str = "auto"
    recording: str | None = None


def read_boxes(path: Path, context: BoxContext) -> npt.NDArray[Any]:
    """Boxes of a file or a folder, ``BBOX_DTYPE`` [N], in its order.

    No box is dropped: those to be passed over, by ``context.classes`` or by a mark in the file, have the class
    ``LEFT_OUT_CLASS``, and those without numbers or size are there too.

    Raises:
        UserError: the file is missing, damaged or of another layout, a class is unknown, or a time is missing.
    """
    if path.suffix.lower() != ".npy":
        pictures = read_pictures(path, context.layout, context.hw)
        mine = of_recording(pictures, context.recording, path)
        refuse_nameless(mine, context.classes, str(path))
        return rows_of(mine, context, str(path))
    boxes = read_bbox_npy(path)
    if context.classes.renamed and len(boxes):
        boxes["class_id"] = context.classes.ids(boxes["class_id"].astype(str).tolist(), str(path))
    return boxes


def read_named_boxes(path: Path, context: BoxContext) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """As ``read_boxes`` for those who can do with any class: names that are unknown get ids behind the others.

    Returns:
        ``BBOX_DTYPE`` [N], and the names of the classes in the order of their ids.
    """
    if path.suffix.lower() == ".npy":
        return read_boxes(path, context), context.classes.names or ()
    pictures = of_recording(read_pictures(path, context.layout, context.hw), context.recording, path)
    refuse_nameless(pictures, context.classes, str(path))
    classes = context.classes.extended([box.label for picture in pictures for box in picture.boxes])
    return rows_of(pictures, replace(context, classes=classes), str(path)), classes.names or ()


def rows_of(pictures: Iterable[Picture], context: BoxContext, where: str) -> npt.NDArray[Any]:
    """Boxes of images, ``BBOX_DTYPE`` [N].

    Raises:
        UserError: a class is unknown, a time is missing, or an image has another size than ``context.hw``.
    """
    boxes, times = [], []
    for picture in pictures:
        _check_size(picture, context.hw, where)
        boxes += picture.boxes
        times += [context.times.of(picture, where)] * len(picture.boxes)
    labels = [box.label for box in boxes if box.counts]
    classes = context.classes if context.classes.names is not None else context.classes.extended(labels)
    ids = iter(classes.ids(labels, where).tolist())
    rows = np.zeros(len(boxes), dtype=BBOX_DTYPE)
    rows["t"] = times
    rows["class_id"] = [next(ids) if box.counts else LEFT_OUT_CLASS for box in boxes]
    with np.errstate(over="ignore"):  # what float32 cannot hold has no finite size
        for name in ("x", "y", "w", "h"):
            rows[name] = [getattr(box, name) for box in boxes]
    rows["class_confidence"] = rows["objectness"] = 1
    return rows


def refuse_nameless(pictures: Iterable[Picture], classes: ClassNames, where: str) -> None:
    """Refuse classes that are numbers where the file should have names; see ``ClassNames.refuse_nameless``."""
    boxes = (box for picture in pictures for box in picture.boxes)
    classes.refuse_nameless(Counter(box.label for box in boxes if box.counts and not box.named), where)


def of_recording(pictures: Sequence[Picture], recording: str | None, path: Path) -> list[Picture]:
    """Images of a recording by their names; all of them, if none is called as it and all are of one series.

    Raises:
        UserError: the images are of several recordings, none of which is this one; or the file lies beside a recording
            and has images of another.
    """
    if path.name.endswith(BESIDE[1]):
        _refuse_others(pictures, path)
    mine = [picture for picture in pictures if recording is None or recording in picture.owners()]
    if mine or len({picture.series for picture in pictures}) <= 1:
        return mine or list(pictures)
    names = sorted({picture.series for picture in pictures})
    raise UserError(
        expected=f"images of {recording}, named as {recording}/000001.png or {recording}_000001.png",
        got=f"images of {len(names)} series: {', '.join(names[:3])}, ...",
        where=str(path),
        fix="rename the images or their folder, or give the part of the boxes that belongs to this recording",
    )


def _refuse_others(pictures: Sequence[Picture], path: Path) -> None:
    """Refuse images that are called as another recording than the one that their file lies beside.

    Another is one of the same folder, or one whose name differs in its digits; and any, where some images are called
    as their own.
    """
    own = path.name.removesuffix(BESIDE[1])
    names = dict.fromkeys(picture.name.partition("/")[2] for picture in pictures)
    owners = {name: Picture(name, ()).owners() for name in names if re.search(r"[^\W\d_]", without_ending(name))}
    foreign = [name for name, found in owners.items() if own not in found]
    if not foreign:
        return
    if len(foreign) == len(names):
        files = [file for file in path.parent.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
        beside = {recording_name(file) for file in files if not file.name.endswith(BESIDE)} - {own}
        shape = re.sub(r"\d+", "#", own)
        foreign = [
            name for name in foreign if any(one in beside or re.sub(r"\d+", "#", one) == shape for one in owners[name])
        ]
    if foreign:
        raise UserError(
            expected=f"images of {own}, beside which the file lies",
            got=f"{', '.join(foreign[:3])}{', ...' * (len(foreign) > 3)}",
            where=str(path),
            fix=f"move the rows to the file of their recording; or call the images as {own}_000001.png, or remove the "
            "column if the rows have times",
        )


def boxes_beside(recording: Path) -> Path:
    """The file of boxes beside a recording, else the recording if it holds boxes itself, else the file that could be.

    Raises:
        UserError: there are two.
    """
    paths = [recording.with_name(recording_name(recording) + ending) for ending in BESIDE]
    found = [path for path in paths if path.is_file()]
    if len(found) > 1:
        raise UserError(
            expected=f"one file of boxes beside {recording.name}",
            got=" and ".join(path.name for path in found),
            where=str(recording.parent),
            fix="remove or rename one of them",
        )
    if not found and recording.is_file() and holds_boxes(recording):
        return recording
    return found[0] if found else paths[0]


def _check_size(picture: Picture, hw: tuple[int, int] | None, where: str) -> None:
    if hw is not None and picture.hw is not None and picture.hw != hw:
        raise UserError(
            expected=f"boxes in the camera's pixels, {hw[1]} x {hw[0]}",
            got=f"an image of {picture.hw[1]} x {picture.hw[0]}, {picture.name}",
            where=where,
            fix="scale the boxes to the camera's size (dataset.sensor_hw), or correct the images' size in the file",
        )
