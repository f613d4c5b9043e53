"""Boxes of YOLO text: a file an image, a line a box; class, centre and size as shares of the image."""

from __future__ import annotations

from pathlib import Path

import yaml

from data.box_files.picture import DrawnBox, Picture
from data.box_files.text import bad_line, is_whole, read_numbers, read_text, text_lines
from utils.arrays import describe
from utils.errors import UserError

NAMES_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")
_EXPECTED = "class, centre x, centre y, width, height as shares of the image"
_MOST = 2
"""Larger shares are pixels."""
_FEW_DIGITS = 8


def read_yolo(path: Path, name: str, hw: tuple[int, int], names: dict[str, str]) -> Picture:
    """The image of a file.

    A share with few digits is known to about a thousandth of a pixel; the pixels are then rounded to hundredths, which
    gives back what whole and half pixels were written from.

    Args:
        path: the file, possibly empty.
        name: of the image.
        hw: height and width of the image in pixels.
        names: of the classes, by their numbers; see ``read_names``.

    Raises:
        UserError: a line is no box.
    """
    boxes = []
    for where, line in text_lines(path):
        words = line.split()
        label, *shares = read_numbers(words, _EXPECTED, where)
        if len(shares) not in (4, 5) or not is_whole(label) or any(abs(share) > _MOST for share in shares[:4]):
            raise bad_line(_EXPECTED, line, where)
        cx, cy, w, h = (share * hw[1 - index % 2] for index, share in enumerate(shares[:4]))
        x, y = cx - w / 2, cy - h / 2
        if max(len(word.partition(".")[2]) for word in words[1:5]) <= _FEW_DIGITS:
            x, y, w, h = (round(side, 2) for side in (x, y, w, h))
        number = str(int(label))
        boxes.append(DrawnBox(names.get(number, number), x, y, w, h, named=not names or number in names))
    return Picture(name, tuple(boxes))


def read_names(folder: Path) -> dict[str, str]:
    """Names of classes by their numbers, from the files beside the labels or above them that tell them; none without.

    Raises:
        UserError: one cannot be read, or two call a class by different names.
    """
    names: dict[str, str] = {}
    origin: dict[str, Path] = {}
    for path in (place / name for place in (folder, *folder.resolve().parents[:2]) for name in NAMES_FILES):
        for number, name in _names_of(path).items() if path.is_file() else ():
            if names.setdefault(number, name) != name:
                got = f"{names[number]} in {origin[number]} and {name} in {path}"
                raise bad_line(f"one name for class {number}", got, str(folder), "correct or remove one of the files")
            origin.setdefault(number, path)
    return names


def _names_of(path: Path) -> dict[str, str]:
    if path.suffix != ".yaml":
        lines = map(str.strip, read_text(path).splitlines())
        return {str(index): line for index, line in enumerate(lines) if line}
    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise UserError(
            expected="YAML with names", got=describe(error)[:200], where=str(path), fix="correct it"
        ) from error
    names = content.get("names", {}) if isinstance(content, dict) else {}
    pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
    # What is no scalar may be endless as text.
    return {str(key): str(name) for key, name in pairs if isinstance(key, str | int) and isinstance(name, str | int)}
