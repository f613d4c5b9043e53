"""Boxes of Pascal VOC: an XML file an image, corners in pixels, classes by name."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from data.box_files.picture import DrawnBox, Picture
from data.box_files.text import bad_line, read_numbers, read_text
from utils.arrays import describe
from utils.errors import UserError

_FIX = "export the annotations again"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _DoctypeError(ValueError):
    """A document type, in which entities could be declared that grow without end or name other files."""


def read_voc(path: Path, name: str) -> Picture:
    """The image of a file.

    Args:
        path: the XML.
        name: of the image.

    Raises:
        UserError: no XML of this kind, a document type, or an object without its corners.
    """
    root = _parse(path)
    if root.tag != "annotation":
        raise bad_line("Pascal VOC, an XML file with the root annotation", f"<{root.tag}>", str(path), _FIX)
    boxes = []
    for index, entry in enumerate(root.iter("object")):
        where = f"{path}, object {index}"
        words = [entry.findtext(f"bndbox/{corner}", "") for corner in _CORNERS]
        x1, y1, x2, y2 = read_numbers(words, f"numbers for {', '.join(_CORNERS)}", where)
        label = (entry.findtext("name") or "").strip()
        if not label:
            raise bad_line("an object with a name", "none", where, _FIX)
        boxes.append(DrawnBox(label, x1, y1, x2 - x1, y2 - y1))
    size = [root.findtext(f"size/{side}", "0") for side in ("height", "width")]
    height, width = read_numbers(size, "numbers for height and width", str(path))
    known = 0 < height < 1 << 30 and 0 < width < 1 << 30
    return Picture(name, tuple(boxes), hw=(int(height), int(width)) if known else None)


def _parse(path: Path) -> Element:
    """The root of a document without a document type, and so without entities of its own."""
    builder, parser = TreeBuilder(), expat.ParserCreate("utf-8")
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(read_text(path).encode("utf-8"), True)
        return builder.close()
    except (expat.ExpatError, ValueError, AssertionError) as error:
        raise UserError(
            expected="Pascal VOC, an XML file without a document type",
            got=describe(error),
            where=str(path),
            fix=_FIX,
        ) from error


def _refuse(*_: object) -> None:
    raise _DoctypeError("a document type")
