"""Boxes of COCO JSON: x, y, w, h in pixels, classes by the names of its categories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.box_files.picture import DrawnBox, Picture
from data.box_files.text import bad_line, read_numbers, read_text
from data.box_files.times import TimeField, time_field
from utils.arrays import describe
from utils.errors import UserError

_FIX = "export the annotations again"


def read_coco(path: Path, name: str) -> list[Picture]:
    """Images with their boxes. A box of a crowd does not count.

    Args:
        path: the JSON; images may have a time (``t_us``, ``timestamp_ms``, ...) and belong to one of its videos.
        name: what images are called before their own name.

    Raises:
        UserError: no COCO, or a box without its image.
    """
    try:
        content = json.loads(read_text(path))
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
        mine.append(
            DrawnBox(names.get(category, category), *_sides(entry.get("bbox"), where), counts=not entry.get("iscrowd"))
        )
    if len(boxes) < len(images):
        raise bad_line("images with ids of their own", "two images of one id", str(path), _FIX)
    field = time_field(key for image in images for key in image)
    return [
        _picture(image, f"{path}, image {index}", name, tuple(boxes[str(image.get("id"))]), videos, field)
        for index, image in enumerate(images)
    ]


def _picture(
    image: Mapping[str, Any],
    where: str,
    name: str,
    boxes: tuple[DrawnBox, ...],
    videos: Mapping[str, str],
    field: TimeField | None,
) -> Picture:
    own = str(image.get("file_name", image.get("id"))).replace("\\", "/")
    video = videos.get(str(image.get("video_id")))
    us = None if field is None or field.name not in image else field.us(image[field.name], where)
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
    found = _entries(content, key, path, needed=False)
    return {str(entry["id"]): str(entry["name"]) for entry in found if "id" in entry and "name" in entry}


def _sides(bbox: Any, where: str) -> list[float]:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise bad_line("bbox with x, y, w and h", f"bbox = {bbox}", where, _FIX)
    return read_numbers(bbox, "numbers in bbox", where)
