"""Which layout a file or folder of boxes is of, and its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from data.box_files.aedat4 import read_aedat4
from data.box_files.coco import read_coco
from data.box_files.picture import Picture
from data.box_files.table import read_csv_boxes
from data.box_files.text import files_below, text_lines
from data.box_files.tracks import read_kitti, read_mot
from data.box_files.voc import read_voc
from data.box_files.yolo import NAMES_FILES, read_names, read_yolo
from utils.errors import UserError

_ENDINGS = {
    "csv": ".csv",
    "coco": ".json",
    "yolo": ".txt",
    "voc": ".xml",
    "mot": ".txt",
    "kitti": ".txt",
    "aedat4": ".aedat4",
}
LAYOUTS = tuple(_ENDINGS)
_READERS: dict[str, Callable[[Path, str], Iterable[Picture]]] = {
    "aedat4": read_aedat4,
    "csv": read_csv_boxes,
    "coco": read_coco,
    "voc": lambda path, name: [read_voc(path, name)],
    "mot": read_mot,
    "kitti": read_kitti,
}


def read_pictures(path: Path, layout: str, hw: tuple[int, int] | None) -> list[Picture]:
    """Images with their boxes, of a file or of all files of a folder, sorted by the files' names.

    Args:
        path: file or folder.
        layout: one of ``LAYOUTS``; ``auto`` looks at endings and at the first line of text.
        hw: height and width of the images, for YOLO.

    Raises:
        UserError: no such files, an unknown layout, or a file that is not of it.
    """
    if not path.exists():
        raise UserError(expected="a file or folder of boxes", got="no such file", where=str(path), fix="check the path")
    layout = _guess(path) if layout == "auto" else layout
    if layout not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise UserError(expected=f"auto, {known}", got=repr(layout), where="layout", fix="choose one of them")
    files = _files(path, _ENDINGS[layout])
    if layout == "mot":
        files = [(name, file) for name, file in files if file.name == "gt.txt"] or files
    if not files:
        raise _nothing(path, layout)
    if layout == "yolo":
        if hw is None:
            raise UserError(
                expected="the size of the images, as YOLO has shares of it", got="none", where=str(path), fix="give it"
            )
        names = read_names(path if path.is_dir() else path.parent)
        return [read_yolo(file, name, hw, names) for name, file in files]
    return [picture for name, file in files for picture in _READERS[layout](file, name)]


def _files(path: Path, ending: str) -> list[tuple[str, Path]]:
    return files_below(path, lambda file: file.suffix.lower() == ending and file.name not in NAMES_FILES)


def _guess(path: Path) -> str:
    """The layout by endings; text by the number of words in the first line.

    Raises:
        UserError: there are files of several layouts, or of none.
    """
    folder, found = path.is_dir(), dict[str, Path]()
    for layout in ("coco", "voc", "csv", "aedat4"):
        files = _files(path, _ENDINGS[layout]) if folder or path.suffix.lower() == _ENDINGS[layout] else []
        if files:
            found[layout] = files[0][1]
    texts = _files(path, ".txt") if folder or path.suffix.lower() == ".txt" else []
    if not (found or texts):
        raise _nothing(path, "auto")
    lines = ((file, _first_line(file)) for _, file in texts)
    if found:  # other text may lie beside it
        lines = ((file, line) for file, line in lines if _is_box(line))
    file, line = next(((file, line) for file, line in lines if line), (path, ""))
    if line or not found:
        found["mot" if "," in line else "kitti" if len(line.split()) >= 15 else "yolo"] = file
    if len(found) > 1:
        raise UserError(
            expected="boxes in one layout",
            got=", ".join(f"{layout}: {file.relative_to(path)}" for layout, file in found.items()),
            where=str(path),
            fix="say which one is meant, as layout=" + " or ".join(found) + ", or give its file or a folder of its own",
        )
    return next(iter(found))


def _first_line(file: Path) -> str:
    with suppress(UserError):  # whoever reads it in earnest says what is wrong
        return next((line for _, line in text_lines(file)), "")
    return ""


def _is_box(line: str) -> bool:
    """Whether a line of text could be a box: numbers, but for the first word."""
    with suppress(ValueError):
        return len([float(word) for word in line.replace(",", " ").split()[1:5]]) == 4
    return False


def _nothing(path: Path, layout: str) -> UserError:
    endings = sorted({_ENDINGS[layout]} if layout in _ENDINGS else set(_ENDINGS.values()))
    return UserError(
        expected=f"boxes in files {', '.join('*' + ending for ending in endings)}",
        got="none" if path.is_dir() else path.name,
        where=str(path),
        fix="give the file or folder of boxes, and its layout",
    )
