"""Boxes in a CSV file: a box a line, columns by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data.box_files.picture import DrawnBox, Picture
from data.box_files.text import bad_line, read_numbers, table_rows
from data.box_files.times import time_field

_SIZE = {
    "x": ("x", "left", "bb_left", "bbox_x"),
    "y": ("y", "top", "bb_top", "bbox_y"),
    "w": ("w", "width", "bb_width", "bbox_w"),
    "h": ("h", "height", "bb_height", "bbox_h"),
}
_CORNERS = {
    "x1": ("x1", "xmin", "x_min"),
    "y1": ("y1", "ymin", "y_min"),
    "x2": ("x2", "xmax", "x_max"),
    "y2": ("y2", "ymax", "y_max"),
}
_CLASS = ("class_name", "class", "label", "category", "class_id", "category_id")
_IMAGE = ("image", "file_name", "filename", "file", "frame", "frame_id", "image_id")
_EXPECTED = "columns t (µs; or t_ms, t_s), x, y, w, h (or x1, y1, x2, y2) and class"


def read_csv_boxes(path: Path, name: str) -> list[Picture]:
    """Boxes of a table, each as an image of its own: at its time, or on the image that its line names.

    Args:
        path: the file; its first line names the columns.
        name: what images are called before their own name.

    Raises:
        UserError: a column is missing, or a line is no box.
    """
    head, rows = table_rows(path)
    columns = {column.casefold(): index for index, column in reversed(list(enumerate(head)))}
    sides, corners = _found(columns, _SIZE), False
    if sides is None:
        sides, corners = _found(columns, _CORNERS), True
    label = next((columns[word] for word in _CLASS if word in columns), None)
    image = next((columns[word] for word in _IMAGE if word in columns), None)
    time = time_field(columns)
    if sides is None or label is None or (time is None and image is None):
        raise bad_line(_EXPECTED, ", ".join(head), str(path), "name the columns in the first line")
    pictures = []
    for index, (where, row) in enumerate(rows):
        x, y, w, h = read_numbers([row[side] for side in sides], "numbers for x, y, w, h", where)
        box = DrawnBox(_whole(row[label]), x, y, w - x if corners else w, h - y if corners else h)
        us = None if time is None else time.us(row[columns[time.name]], where)
        own = str(index) if image is None else row[image].replace("\\", "/")
        pictures.append(Picture(f"{name}/{own}", (box,), us))
    return pictures


def _found(columns: Mapping[str, int], wanted: Mapping[str, Sequence[str]]) -> list[int] | None:
    """Where all of these columns are, by any of their names; None if one is not there."""
    found = [next((columns[word] for word in words if word in columns), None) for words in wanted.values()]
    whole = [index for index in found if index is not None]
    return whole if len(whole) == len(found) else None


def _whole(label: str) -> str:
    """A class number that a spreadsheet wrote with a fraction of zero, without it.

    >>> _whole("2.0"), _whole("car")
    ('2', 'car')
    """
    number, _, fraction = label.partition(".")
    return number if number.isdigit() and fraction.strip("0") == "" else label
