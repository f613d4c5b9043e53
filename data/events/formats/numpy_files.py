"""Recordings in NumPy files: ``.npy`` (structured or [N, 4]) and ``.npz`` (one array a column)."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from data.events.formats.columns import ColumnSource, one_length, require_columns, require_numbers
from data.events.problems import bad_value, damaged
from data.events.spill import Spill

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError),
    *(EOFError, SyntaxError, tokenize.TokenError),
)
"""What NumPy raises on headers that are none: it reads them as Python literals."""


def _read_header(path: Path, handle: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type of the array that follows."""
    try:
        version = np.lib.format.read_magic(handle)
        if version not in _HEADERS:
            raise ValueError(f"version {version} of the NumPy format")
        return _HEADERS[version](handle)
    except _UNREADABLE as error:
        raise damaged(path, f"at byte 0: {' '.join(str(error).split())[:200]}") from error


def npy_source(path: Path) -> ColumnSource:
    """A structured array with fields t, x, y, p, or numbers [N, 4] in the order t, x, y, p (PEDRo).

    Raises:
        UserError: another form, objects, or a file that is cut off.
    """
    with path.open("rb") as handle:
        shape, fortran, dtype = _read_header(path, handle)
        offset = handle.tell()
    if dtype.hasobject:
        raise bad_value(path, "numbers", f"an array of Python objects ({dtype})", "write the columns as numbers")
    plain = dtype.names is None
    if len(shape) != (2 if plain else 1) or (plain and (shape[1] != 4 or dtype.kind not in "iuf")):
        raise bad_value(
            path,
            "numbers [N, 4] in the order t, x, y, p, or fields of these names",
            f"{dtype} {list(shape)}",
            "write the events in one of these forms",
        )
    length = shape[0]
    need, have = length * dtype.itemsize * (4 if plain else 1), path.stat().st_size - offset
    if have < need:
        raise damaged(path, f"{need} bytes of events announced, it ends at byte {offset + have} after {have}")
    columns = {} if plain else require_columns(path, dtype.names or ())
    require_numbers(path, {name: dtype[name] for name in columns.values()})

    def rows(start: int, stop: int) -> Mapping[str, npt.NDArray[Any]]:
        if plain and fortran:
            parts = [_read(path, dtype, offset, k * length + start, stop - start) for k in range(4)]
            return dict(zip("txyp", parts, strict=True))
        if plain:
            block = _read(path, dtype, offset, 4 * start, 4 * (stop - start)).reshape(-1, 4)
            return dict(zip("txyp", block.T, strict=True))
        records = _read(path, dtype, offset, start, stop - start)
        return {column: records[name] for column, name in columns.items()}

    return ColumnSource(path, rows, length, None)


def _read(path: Path, dtype: np.dtype[Any], offset: int, first: int, count: int) -> npt.NDArray[Any]:
    values = np.fromfile(path, dtype=dtype, count=count, offset=offset + first * dtype.itemsize)
    if len(values) < count:
        raise damaged(path, "it became shorter while it was read")
    return values


def npz_source(path: Path) -> ColumnSource:
    """Arrays t, x, y, p and optionally height and width; copied once, piece by piece, to a temporary file.

    Raises:
        UserError: an array is missing, of another length or of objects; the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive, ExitStack() as stack:
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            columns = require_columns(path, members)
            hw = _stated_size(path, archive, members)
            handles = {key: stack.enter_context(archive.open(members[name])) for key, name in columns.items()}
            length, dtypes = _checked_headers(path, handles)
            return _spill(path, handles, dtypes, length, hw)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise damaged(path, str(error)) from error


def _stated_size(path: Path, archive: zipfile.ZipFile, members: Mapping[str, str]) -> tuple[int, int] | None:
    sizes = []
    for key in ("height", "width"):
        if key not in members:
            return None
        with archive.open(members[key]) as handle:
            shape, _, dtype = _read_header(path, handle)
            value = np.frombuffer(handle.read(dtype.itemsize), dtype) if dtype.kind in "iu" and not shape else []
        if len(value) != 1 or not 0 < int(value[0]) <= 1 << 16:
            raise bad_value(path, f"one whole number from 1 to 65536 as {key}", f"{dtype} {list(shape)} {list(value)}")
        sizes.append(int(value[0]))
    return sizes[0], sizes[1]


def _checked_headers(path: Path, handles: Mapping[str, IO[bytes]]) -> tuple[int, dict[str, np.dtype[Any]]]:
    headers = {key: _read_header(path, handle) for key, handle in handles.items()}
    dtypes = {key: dtype for key, (_, _, dtype) in headers.items()}
    require_numbers(path, dtypes)
    for key, (shape, _, _) in headers.items():
        if len(shape) != 1:
            raise bad_value(path, "arrays of one dimension", f"{key} {list(shape)}", "write one value an event")
    return one_length(path, {key: shape[0] for key, (shape, _, _) in headers.items()}), dtypes


def _spill(
    path: Path,
    handles: Mapping[str, IO[bytes]],
    dtypes: Mapping[str, np.dtype[Any]],
    length: int,
    hw: tuple[int, int] | None,
) -> ColumnSource:
    def following(start: int, stop: int) -> Mapping[str, npt.NDArray[Any]]:
        out = {}
        for key, handle in handles.items():
            data = handle.read((stop - start) * dtypes[key].itemsize)
            if len(data) < (stop - start) * dtypes[key].itemsize:
                raise damaged(path, f"{key} ends before event number {stop}")
            out[key] = np.frombuffer(data, dtype=dtypes[key])
        return out

    return spilled(path, ColumnSource(path, following, length, hw))


def spilled(path: Path, source: ColumnSource) -> ColumnSource:
    """The same events from a temporary file; ``source`` is read once, in order."""
    spill = Spill()
    for index in range(source.num_chunks):
        spill.append(source.chunk(index))
    return ColumnSource(path, spill.rows, spill.num_events, source.hw, cut_bytes=source.findings()["cut_bytes"])
