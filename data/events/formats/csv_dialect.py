"""How a text file writes its events: separator, columns, unit of time, sensor size. Told by its first 64 KiB."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data.events.formats.columns import NAMES
from data.events.formats.csv_kernels import IGNORED
from data.events.problems import bad_value
from utils.errors import UserError

SNIFFED_BYTES = 1 << 16
_LOOKED_AT = 1000
_ORDER = ("t", "x", "y", "p")
_UNITS = {"ns": -3, "us": 0, "µs": 0, "ms": 3, "s": 6, "sec": 6, "seconds": 6}
_TIME = re.compile(rf"({'|'.join(NAMES['t'][:6])})(?:[\s_(\[]+({'|'.join(_UNITS)})[)\]]?)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_POLARITIES = {-1.0, 0.0, 1.0}


@dataclass(frozen=True)
class Dialect:
    """How to read the lines.

    Attributes:
        separator: ``,``, ``;`` or a space (any run of spaces and tabs).
        columns: for each column 0 t, 1 x, 2 y, 3 p, -1 none of them.
        t_power: power of ten that makes times microseconds.
        hw: sensor height and width that the file states, or None.
        data_offset: byte at which the first event's line begins (comments may stand between events, too).
        fractions: the column of times has no unit; they have fractions and are taken as seconds.
    """

    separator: str
    columns: tuple[int, ...]
    t_power: int
    hw: tuple[int, int] | None
    data_offset: int
    fractions: bool


@dataclass(frozen=True)
class _Line:
    offset: int
    text: str


def looks_like_table(head: bytes) -> bool:
    """The start of a file is text whose first line (comments aside) holds numbers or names of the columns."""
    if b"\0" in head[:SNIFFED_BYTES]:
        return False
    _, lines = _split(head[:SNIFFED_BYTES])
    if not lines:
        return False
    tokens = _tokens(lines[0].text, _separator(lines[0].text))
    numbers = sum(_NUMBER.fullmatch(token) is not None for token in tokens)
    return numbers == len(tokens) or numbers >= 3 or len(_named(tokens)) >= 2


def holds_events(path: Path) -> bool:
    """The start of a text file can be read as events; notes, labels of pictures and the like cannot."""
    with path.open("rb") as handle:
        head = handle.read(SNIFFED_BYTES)
    with suppress(UserError):
        return looks_like_table(head) and bool(read_dialect(path).columns)
    return False


def read_dialect(path: Path) -> Dialect:
    """Look at the start of a text file.

    Raises:
        UserError: no four columns, or columns that cannot be told apart.
    """
    with path.open("rb") as handle:
        head = handle.read(SNIFFED_BYTES)
    comments, lines = _split(head)
    hw = _stated_size(path, comments)
    first = _tokens(lines[0].text, _separator(lines[0].text))
    if len(first) == 2 and all(token.isdigit() for token in first) and len(lines) > 1:
        hw = _hw(path, *first)  # WIDTH HEIGHT before the events, as for E2VID
        lines = lines[1:]
    separator = _separator(lines[0].text)
    rows = [_tokens(line.text, separator) for line in lines[:_LOOKED_AT]]
    names = _named(rows[0]) if not all(_NUMBER.fullmatch(token) for token in rows[0]) else {}
    if names or not _NUMBER.fullmatch(rows[0][0]):
        missing = [name for name in _ORDER if name not in names]
        if missing:
            got = f"{', '.join(rows[0])[:100]}: {', '.join(missing)} missing"
            raise bad_value(path, "columns named t, x, y, p", got, "name the columns in the first line")
        header, rows, offset = rows[0], rows[1:], lines[1].offset if len(lines) > 1 else len(head)
    else:
        header, offset = _header_in_comment(comments, separator, len(rows[0])), lines[0].offset
        names = _named(header)
    if not names:
        header = _guess(path, rows)
        names = _named(header)
    sizes = [header[names[name]].partition("@")[2] for name in ("x", "y")]
    if hw is None and all(sizes):
        hw = _hw(path, *sizes)  # x@WIDTH, y@HEIGHT, as in faery
    columns = tuple(next((k for k, name in enumerate(_ORDER) if names[name] == i), IGNORED) for i in range(len(header)))
    power = _named_power(header[names["t"]])
    fractions = power is None and _have_fractions(names["t"], rows)
    return Dialect(separator, columns, 6 if fractions else power or 0, hw, offset, fractions)


def _split(head: bytes) -> tuple[list[str], list[_Line]]:
    """Comment lines at the top, and the whole lines that are neither blank nor a comment."""
    comments: list[str] = []
    lines: list[_Line] = []
    offset = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    while offset < len(head):
        end = head.find(b"\n", offset)
        if end < 0 and lines and len(head) >= SNIFFED_BYTES:
            break
        end = len(head) if end < 0 else end
        text = head[offset:end].decode("utf-8", "replace").strip()
        if text[:1] in {"#", "%"} or text[:2] == "//":
            if not lines:
                comments.append(text.lstrip("#%/ "))
        elif text:
            lines.append(_Line(offset, text))
        offset = end + 1
    return comments, lines


def _separator(line: str) -> str:
    return next((mark for mark in (";", ",") if mark in line), " ")


def _tokens(line: str, separator: str) -> list[str]:
    parts = line.split() if separator == " " else line.split(separator)
    return [part.strip().strip('"') for part in parts]


def _named(tokens: list[str]) -> dict[str, int]:
    """Column name to the index of its token."""
    found: dict[str, int] = {}
    for index, token in enumerate(tokens):
        lower = token.lower().partition("@")[0]
        if _TIME.fullmatch(lower):
            found.setdefault("t", index)
        for name in ("x", "y", "p"):
            if lower in NAMES[name]:
                found.setdefault(name, index)
    return found


def _header_in_comment(comments: list[str], separator: str, columns: int) -> list[str]:
    """Names in the last comment before the events, if it has as many as there are columns."""
    tokens = _tokens(comments[-1], separator) if comments else []
    return tokens if len(tokens) == columns and len(_named(tokens)) == len(_ORDER) else []


def _guess(path: Path, rows: list[list[str]]) -> list[str]:
    """Names of four columns without a header: t, x, y, p, or x, y, p, t if only the third looks like a polarity."""
    if len(rows[0]) != len(_ORDER):
        got = f"{len(rows[0])} columns without names: {' '.join(rows[0])[:80]}"
        raise bad_value(path, "four columns t, x, y, p, or a first line that names them", got)
    complete = [row for row in rows if len(row) == len(_ORDER)]

    def is_polarity(index: int) -> bool:
        return all(_NUMBER.fullmatch(row[index]) is None or float(row[index]) in _POLARITIES for row in complete)

    if is_polarity(3):
        return list(_ORDER)
    if is_polarity(2):
        return ["x", "y", "p", "t"]
    got = f"other values in the third and in the fourth column, for example {' '.join(rows[0])[:80]}"
    raise bad_value(path, "polarities 0, 1 or -1 in the last column", got, "name the columns in the first line")


def _named_power(name: str) -> int | None:
    """Power of ten by the unit in the column's name, None if it has none."""
    match = _TIME.fullmatch(name.lower())
    return _UNITS[match[2]] if match is not None and match[2] else None


def _have_fractions(index: int, rows: list[list[str]]) -> bool:
    """A time in this column has a fraction: without a unit they are seconds, else microseconds."""
    times = [row[index] for row in rows if len(row) > index and _NUMBER.fullmatch(row[index])]
    return any(float(text) % 1 != 0 for text in times)


def _stated_size(path: Path, comments: list[str]) -> tuple[int, int] | None:
    for line in comments:
        match = re.search(r"\bgeometry\s*[:=]?\s*(\S+?)\s*[,x]\s*(\S+)", line, re.IGNORECASE)
        if match is not None:
            return _hw(path, match[1], match[2])
    return None


def _hw(path: Path, width: str, height: str) -> tuple[int, int]:
    for value in (width, height):
        if re.fullmatch(r"[0-9]{1,5}", value) is None or not 0 < int(value) <= 1 << 16:
            raise bad_value(path, "a sensor size WIDTH,HEIGHT, each from 1 to 65536", f"{width}, {height}")
    return int(height), int(width)
