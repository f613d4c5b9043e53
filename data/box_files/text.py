"""Text files of boxes: read whole, line by line, or as a table; whatever is wrong with them is one kind of error."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from data.box_files.picture import without_ending
from utils.arrays import describe
from utils.errors import UserError


def read_text(path: Path) -> str:
    """Text of a file of boxes, UTF-8.

    Raises:
        UserError: the file is missing, cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(
            expected="a box file", got="no such file", where=str(path), fix="check the path of the boxes"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            expected="a text file in UTF-8", got=describe(error), where=str(path), fix="write the boxes again"
        ) from error


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Where each line stands, and its text, without blank lines and comments (``#``)."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{path}, line {number}", line.strip()


def bad_line(expected: str, got: object, where: str, fix: str = "correct the line") -> UserError:
    """The error for a box that is not written as its layout wants."""
    return UserError(expected=expected, got=str(got)[:200], where=where, fix=fix)


def read_numbers(words: Sequence[object], expected: str, where: str) -> list[float]:
    """Words as numbers; what is no finite number is left to those who use it.

    Raises:
        UserError: a word is no number.
    """
    try:
        return [float(word) for word in words]  # type: ignore[arg-type] # anything else is what the error is for
    except (TypeError, ValueError, OverflowError) as error:
        raise bad_line(expected, " ".join(str(word) for word in words), where) from error


def is_whole(number: float, most: float = 1e15) -> bool:
    """Whether a number is 0, 1, ... and below ``most``."""
    return 0 <= number < most and number == int(number)


def files_below(path: Path, wanted: Callable[[Path], bool]) -> list[tuple[str, Path]]:
    """Files of a folder and its sub-folders, or the one file, each with the beginning of its images' names.

    The name of the folder itself is part of that, as a folder may be called as the recording.
    """
    if not path.is_dir():
        return [(without_ending(path.name), path)]
    root = path.resolve().name
    found = sorted(file for file in path.rglob("*") if file.is_file() and wanted(file))
    return [(f"{root}/{without_ending(file.relative_to(path).as_posix())}", file) for file in found]


def table_rows(path: Path) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Names of the columns as the first line has them, and where each row stands with its cells.

    Columns are apart by commas, semicolons or tabs.

    Raises:
        UserError: no line, or a row with another number of cells.
    """
    lines = list(text_lines(path))
    if not lines:
        raise bad_line("a first line that names the columns", "an empty file", str(path), "write the file again")
    separator = next((mark for mark in "\t;," if mark in lines[0][1]), ",")
    rows: list[tuple[str, list[str]]] = []
    for where, line in lines:
        try:
            cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        except csv.Error as error:
            raise bad_line("a line of a table", describe(error), where) from error
        if rows and len(cells) != len(rows[0][1]):
            raise bad_line(f"{len(rows[0][1])} columns, as in the first line", line, where)
        rows.append((where, [cell.strip() for cell in cells]))
    return rows[0][1], rows[1:]
