"""Boxes of COCO JSON: x, y, w, h in pixels, classes by the names of its categories."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.box_files.picture import DrawnBox, Picture
from data.box_files.text import bad_line, contradiction, read_numbers, read_text
from data.box_files.times import TimeField, agreed_time, time_fields
from utils.arrays import describe
from utils.errors import UserError

_FIX = "export the annotations again"


def read_coco(path: Path, name: str) -> list[Picture]:
    """Images with their boxes. A box of a crowd does not count.

    Args:
        path: the JSON; images may have a time (``t_us``, ``timestamp_ms``, ...) and belong to one of its videos.
        name: what images are called before their own name.

    Raises:
        UserError: no COCO, a box without its image, or one thing told in two ways.
    """
    try:
        content = json.loads(read_text(path), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise UserError(expected="COCO JSON", got=describe(error), where=str(path), fix=_FIX) from error
    images, annotations = (_entries(content, key, path) for key in ("images", "annotations"))
    names = _names(content, "categories", path)
    videos = _names(content, "videos", path)
    boxes: dict[str, list[DrawnBox]] = {str(image.get("id")): [] for image in images}
    for index, entry in enumerate(annotations):
        where = f"{path}, annotation {index}"
        mine = boxes.get(str(entry.get("image_id")))
        if mine is None:
            raise bad_line("the id of one of its images", f"image_id = {entry.get('image_id')}", where, _FIX)
        category = str(entry.get("category_id"))
        label, counts = names.get(category, category), not _is_crowd(entry.get("iscrowd"), where)
        x, y, w, h = _sides(entry.get("bbox"), where)
        mine.append(DrawnBox(label, x, y, w, h, counts, named=category in names))
    if len(boxes) < len(images):
        raise bad_line("images with ids of their own", "two images of one id", str(path), _FIX)
    fields = time_fields(dict.fromkeys(key for image in images for key in image))
    return [
        _picture(image, f"{path}, image {index}", name, tuple(boxes[str(image.get("id"))]), videos, fields)
        for index, image in enumerate(images)
    ]


def _picture(
    image: Mapping[str, Any],
    where: str,
    name: str,
    boxes: tuple[DrawnBox, ...],
    videos: Mapping[str, str],
    fields: Sequence[TimeField],
) -> Picture:
    own = str(image.get("file_name", image.get("id"))).replace("\\", "/")
    video = videos.get(str(image.get("video_id")))
    told = [(field, image[field.name]) for field in fields if image.get(field.name) is not None]
    us = agreed_time(told, where) if told else None
    hw = image.get("height"), image.get("width")
    size = None
    if None not in hw:
        height, width = read_numbers(hw, "numbers for height and width", where)
        size = (int(height), int(width)) if 0 < height < 1 << 30 and 0 < width < 1 << 30 else None
    return Picture("/".join((name, video, own) if video else (name, own)), boxes, us, size)


def _entries(content: Any, key: str, path: Path, needed: bool = True) -> list[dict[str, Any]]:
    """The list of mappings under a key."""
    found = content.get(key, None if needed else []) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise bad_line("COCO JSON with lists images, annotations and categories", f"no list {key}", str(path), _FIX)
    return found


def _names(content: Any, key: str, path: Path) -> dict[str, str]:
    """Names by id."""
    names: dict[str, str] = {}
    for entry in _entries(content, key, path, needed=False):
        number, name = str(entry.get("id")), str(entry.get("name") or "")
        if "id" in entry and name and names.setdefault(number, name) != name:
            raise contradiction([("name", names[number]), ("name", name)], f"{path}, {key}, id {number}")
    return names


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose keys stand there once, or with one value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if value != found[key]:
                raise ValueError(f"an object that has {key} twice, with different values")
    return found


def _is_crowd(mark: object, where: str) -> bool:
    """Whether a box is of a crowd: 0 and 1, as numbers or as text."""
    if mark in (None, 0, "0"):
        return False
    if mark in (1, "1"):
        return True
    raise bad_line("iscrowd of 0 or 1", f"iscrowd = {mark}", where, _FIX)


def _sides(bbox: Any, where: str) -> list[float]:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise bad_line("bbox with x, y, w and h", f"bbox = {bbox}", where, _FIX)
    return read_numbers(bbox, "numbers in bbox", where)
