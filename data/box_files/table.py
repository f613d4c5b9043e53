"""Boxes in a CSV file: a box a line, columns by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data.box_files.picture import DrawnBox, Picture
from data.box_files.text import agreed_cell, bad_line, contradiction, read_numbers, table_rows
from data.box_files.times import agreed_time, time_fields

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
_IMAGE = (("image", "file_name", "filename", "file"), ("frame", "frame_id"), ("image_id",))
"""Columns of one line tell the same; those of the first line that is there count."""
_EXPECTED = "columns t (µs; or t_ms, t_s), x, y, w, h (or x1, y1, x2, y2) and class"
_NEAR = 0.01
"""Corners and sides that differ by no more pixels are the same box."""


def read_csv_boxes(path: Path, name: str) -> list[Picture]:
    """Boxes of a table, each as an image of its own: at its time, or on the image that its line names.

    Of classes a name counts before a number.

    Args:
        path: the file; its first line names the columns.
        name: what images are called before their own name.

    Raises:
        UserError: a column is missing, a line is no box, or two columns contradict each other.
    """
    head, rows = table_rows(path)
    places: dict[str, list[int]] = {}
    for at, column in enumerate(head):
        places.setdefault(column.casefold(), []).append(at)
    sides, corners = (_found(places, wanted) for wanted in (_SIZE, _CORNERS))
    labels, images = _of(places, _CLASS), next(filter(None, (_of(places, words) for words in _IMAGE)), None)
    times = [(field, at) for field in time_fields(places) for at in places[field.name]]
    if not (sides or corners) or not labels or not (times or images):
        raise bad_line(_EXPECTED, ", ".join(head), str(path), "name the columns in the first line")
    pictures = []
    for index, (where, row) in enumerate(rows):
        x, y, w, h = _box(row, sides, corners, head, where)
        box = DrawnBox(_label(row, labels, head, where), x, y, w, h)
        us = agreed_time([(field, row[at]) for field, at in times], where) if times else None
        own = str(index) if images is None else agreed_cell(row, images, head, where).replace("\\", "/")
        pictures.append(Picture(f"{name}/{own}", (box,), us))
    return pictures


def _of(places: Mapping[str, Sequence[int]], words: Sequence[str]) -> list[int]:
    """Where the columns of these names are."""
    return [place for word in words for place in places.get(word, ())]


def _found(places: Mapping[str, Sequence[int]], wanted: Mapping[str, Sequence[str]]) -> list[list[int]]:
    """Where all of these columns are, by any of their names; empty if one is not there."""
    found = [_of(places, words) for words in wanted.values()]
    return found if all(found) else []


def _box(
    row: Sequence[str],
    sides: Sequence[Sequence[int]],
    corners: Sequence[Sequence[int]],
    head: Sequence[str],
    where: str,
) -> list[float]:
    """x, y, w and h of a row, from the columns that it has."""
    boxes = []
    for columns in filter(None, (sides, corners)):
        words = [agreed_cell(row, places, head, where, _number) for places in columns]
        x, y, w, h = read_numbers(words, "numbers for x, y, w, h", where)
        boxes.append([x, y, w - x, h - y] if columns is corners else [x, y, w, h])
    if len(boxes) > 1 and any(abs(one - other) > _NEAR for one, other in zip(boxes[0], boxes[-1], strict=True)):
        raise contradiction([(head[places[0]], row[places[0]]) for places in (*sides, *corners)], where)
    return boxes[0]


def _number(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return cell


def _label(row: Sequence[str], places: Sequence[int], head: Sequence[str], where: str) -> str:
    """The class of a row: a name, else a number."""
    if len(places) == 1 and row[places[0]]:
        return _whole(row[places[0]])
    told = [place for place in places if row[place]]
    named = [place for place in told if not _whole(row[place]).isdigit()]
    numbered = [place for place in told if place not in named]
    if not told:
        raise bad_line("a class", f"nothing in {head[places[0]]}", where)
    labels = [agreed_cell(row, some, head, where, _whole_folded) for some in (named, numbered) if some]
    return _whole(labels[0])


def _whole(label: str) -> str:
    """A class number that a spreadsheet wrote with a fraction of zero, without it.

    >>> _whole("2.0"), _whole("car")
    ('2', 'car')
    """
    number, _, fraction = label.partition(".")
    return number if number.isdigit() and fraction.strip("0") == "" else label


def _whole_folded(label: str) -> str:
    return _whole(label).casefold()
