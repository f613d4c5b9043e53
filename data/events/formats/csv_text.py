"""Recordings in text files: a line an event, copied once to a temporary file, block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.events.formats import csv_kernels as kernels
from data.events.formats.columns import ColumnSource
from data.events.formats.csv_dialect import Dialect, read_dialect
from data.events.polarity import PolarityCodes
from data.events.problems import bad_value, damaged
from data.events.spill import Spill
from data.events.types import Events
from utils.atomic import atomic_path

BLOCK_BYTES = 1 << 22
_SHORTEST_LINE = 8
_EXPECTED = {
    kernels.NOT_A_NUMBER: "a number",
    kernels.TOO_FEW: "as many columns as in the first line",
    kernels.TOO_MANY: "as many columns as in the first line",
    kernels.BAD_COORDINATE: "a whole coordinate between 0 and 65535",
    kernels.BAD_TIME: "a time that fits 62 bits in µs",
}


def csv_source(path: Path) -> ColumnSource:
    """Events of a text file; see ``csv_dialect`` for what is understood.

    Raises:
        UserError: a line that is not an event, with its byte; a last line that is cut off is passed over.
    """
    dialect = read_dialect(path)
    spill, rest, polarity = Spill(), b"", PolarityCodes(path)
    rows = np.empty((2 * BLOCK_BYTES // _SHORTEST_LINE + 1, 4), dtype=np.int64)
    cut = 0
    with path.open("rb") as handle:
        position = handle.seek(dialect.data_offset)
        while True:
            block = handle.read(BLOCK_BYTES)
            data = np.frombuffer(rest + block, dtype=np.uint8)
            count, used, cut = _parse(path, dialect, data, not block, position, rows)
            t, x, y, p = rows[:count].T
            spill.append(Events.from_arrays(t, x, y, polarity.on(p)))
            if not block:
                break
            rest = data[used:].tobytes()
            position += used
            if len(rest) > BLOCK_BYTES:
                raise damaged(path, f"a line longer than {BLOCK_BYTES} bytes at byte {position}")
    return ColumnSource(path, spill.rows, spill.num_events, dialect.hw, 0, cut, dialect.fractions)


def _parse(
    path: Path, dialect: Dialect, data: np.ndarray, last: bool, position: int, rows: np.ndarray
) -> tuple[int, int, int]:
    """Events and bytes used of a block that begins at ``position``, and the bytes of a cut last line."""
    result = np.zeros(4, dtype=np.int64)
    columns = np.asarray(dialect.columns, dtype=np.int64)
    separator = ord(dialect.separator)
    count = kernels.parse_lines(data, last, separator, columns, dialect.t_power, rows, result)
    used, problem, where, line = (int(value) for value in result)
    if problem == kernels.OK:
        return count, used, 0
    if last and where >= data.size:
        return count, data.size, data.size - line
    text = bytes(data[line : line + 60]).split(b"\n")[0].decode("utf-8", "replace").strip()
    raise bad_value(
        path, _EXPECTED[problem], f"'{text}' at byte {position + line} (column {where - line + 1} of the line)"
    )


def write_csv(path: Path | str, events: Events, height: int, width: int, separator: str = ",") -> None:
    """Write a line ``t,x,y,p`` an event (t in µs) under a header; the file appears whole."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as handle:
        handle.write(f"# geometry {width}x{height}\n" + separator.join("txyp") + "\n")
        for start in range(0, len(events), 1 << 16):
            part = events.slice(start, start + (1 << 16))
            lines = zip(part.t.tolist(), part.x.tolist(), part.y.tolist(), part.p.tolist(), strict=True)
            handle.writelines(separator.join(map(str, line)) + "\n" for line in lines)
