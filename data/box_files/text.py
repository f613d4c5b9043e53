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


def lines_by_place(path: Path) -> list[tuple[str, str]]:
    """As ``text_lines`` of a file in which a line's place says what it is of: comments above, blank lines below.

    Raises:
        UserError: a blank line or a comment between others, which may hold a place or not.
    """
    lines = [(f"{path}, line {number}", line.strip()) for number, line in enumerate(read_text(path).splitlines(), 1)]
    while lines and lines[0][1].startswith("#"):
        del lines[0]
    while lines and (not lines[-1][1] or lines[-1][1].startswith("#")):
        del lines[-1]
    for where, line in lines:
        if not line or line.startswith("#"):
            fix = "remove the line, or name the images in a column image"
            raise bad_line("an image in each line, as lines are counted", line or "a blank line", where, fix)
    return lines


def bad_line(expected: str, got: object, where: str, fix: str = "correct the line") -> UserError:
    """The error for a box that is not written as its layout wants."""
    return UserError(expected=expected, got=str(got)[:200], where=where, fix=fix)


def read_numbers(words: Sequence[object], expected: str, where: str) -> list[float]:
    """Words as numbers; what is no finite number is left to those who use it.

    Raises:
        UserError: a word is no number.
    """
    try:
        # To Python 1_0 is 10, and true is 1.
        if any("_" in word if isinstance(word, str) else isinstance(word, bool) for word in words):
            raise ValueError("no number")
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

    Columns are apart by commas, semicolons or tabs. Comments (``#``) are passed over.

    Raises:
        UserError: no line, a row with another number of cells, or a comment that could be a row.
    """
    separator, rows = "", list[tuple[str, list[str]]]()
    for number, line in enumerate(map(str.strip, read_text(path).splitlines()), start=1):
        where, comment = f"{path}, line {number}", line.startswith("#")
        if not line or (comment and not rows):
            continue
        separator = separator or next((mark for mark in "\t;," if mark in line), ",")
        try:
            cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        except csv.Error as error:
            raise bad_line("a line of a table", describe(error), where) from error
        if rows and comment:
            if len(cells) == len(rows[0][1]) > 1:
                fix = 'remove the line; a cell that begins with # has quotes, "#..."'
                raise bad_line("a row, or a comment that cannot be one", line, where, fix)
            continue
        if rows and len(cells) != len(rows[0][1]):
            raise bad_line(f"{len(rows[0][1])} columns, as in the first line", line, where)
        rows.append((where, [cell.strip() for cell in cells]))
    if not rows:
        raise bad_line("a first line that names the columns", "an empty file", str(path), "write the file again")
    return rows[0][1], rows[1:]


def agreed_cell(
    row: Sequence[str],
    places: Sequence[int],
    head: Sequence[str],
    where: str,
    meaning: Callable[[str], object] = str.casefold,
) -> str:
    """The cell of one fact that several columns may tell.

    Args:
        row: cells.
        places: of the columns, at least one.
        head: names of all columns.
        where: for the message.
        meaning: of a cell; equal ones agree.

    Raises:
        UserError: the columns contradict each other.
    """
    cell = row[places[0]]
    if len(places) > 1 and any(row[place] != cell and meaning(row[place]) != meaning(cell) for place in places[1:]):
        raise contradiction([(head[place], row[place]) for place in places], where)
    return cell


def contradiction(told: Sequence[tuple[str, object]], where: str) -> UserError:
    """The error for columns or fields that tell one fact in different ways, each with its value."""
    names = dict.fromkeys(name for name, _ in told)
    got = ", ".join(f"{name} = {value}" for name, value in told)
    return bad_line(f"one value in {' and '.join(names)}", got, where, "correct it, or remove or rename the wrong one")
