"""Recordings in NumPy files: ``.npy`` (structured or [N, 4]) and ``.npz`` (one array a column, or one of all)."""

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

from data.events.formats.columns import ColumnSource, find_columns, one_length, require_columns, require_numbers
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
    columns = _fields(path, shape, dtype)
    length, across = shape[0], 1 if columns else 4
    need, have = length * dtype.itemsize * across, path.stat().st_size - offset
    if have < need:
        raise damaged(path, f"{need} bytes of events announced, it ends at byte {offset + have} after {have}")

    def rows(start: int, stop: int) -> Mapping[str, npt.NDArray[Any]]:
        if fortran and not columns:
            parts = [_read(path, dtype, offset, k * length + start, stop - start) for k in range(4)]
            return dict(zip("txyp", parts, strict=True))
        return _split(_read(path, dtype, offset, across * start, across * (stop - start)), columns)

    return ColumnSource(path, rows, length, None)


def _fields(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> dict[str, str]:
    """Column to field of a structured array; nothing for numbers [N, 4]. UserError for another form."""
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
    columns = {} if plain else require_columns(path, dtype.names or ())
    require_numbers(path, {name: dtype[name] for name in columns.values()})
    return columns


def _split(values: npt.NDArray[Any], columns: Mapping[str, str]) -> Mapping[str, npt.NDArray[Any]]:
    """Columns of records, or of numbers that follow each other as t, x, y, p."""
    if columns:
        return {column: values[name] for column, name in columns.items()}
    return dict(zip("txyp", values.reshape(-1, 4).T, strict=True))


def _read(path: Path, dtype: np.dtype[Any], offset: int, first: int, count: int) -> npt.NDArray[Any]:
    values = np.fromfile(path, dtype=dtype, count=count, offset=offset + first * dtype.itemsize)
    if len(values) < count:
        raise damaged(path, "it became shorter while it was read")
    return values


def npz_source(path: Path) -> ColumnSource:
    """Arrays t, x, y, p, or one array as in a ``.npy``, and optionally height and width.

    They are copied once, piece by piece, to a temporary file.

    Raises:
        UserError: an array is missing, of another length or of objects; the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive, ExitStack() as stack:
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            hw = _stated_size(path, archive, members)
            alone = _only_array(members)
            if alone is not None:
                return _one_array(path, archive, alone, hw)
            columns = require_columns(path, members)
            handles = {key: stack.enter_context(archive.open(members[name])) for key, name in columns.items()}
            length, dtypes = _checked_headers(path, handles)
            return _spill(path, handles, dtypes, length, hw)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise damaged(path, str(error)) from error


def _only_array(members: Mapping[str, str]) -> str | None:
    """The array that holds all columns: the only one, or that named as in ``np.savez(path, events)``."""
    arrays = [name for name in members if name not in {"height", "width"}]
    if find_columns(arrays) or not (len(arrays) == 1 or "arr_0" in arrays):
        return None
    return members[arrays[0] if len(arrays) == 1 else "arr_0"]


def _one_array(path: Path, archive: zipfile.ZipFile, member: str, hw: tuple[int, int] | None) -> ColumnSource:
    with ExitStack() as stack:
        handles = [stack.enter_context(archive.open(member)) for _ in range(4)]
        (shape, fortran, dtype), *_ = [_read_header(path, handle) for handle in handles]
        columns = _fields(path, shape, dtype)
        if fortran and not columns:  # column by column
            for k, handle in enumerate(handles):
                handle.seek(k * shape[0] * dtype.itemsize, 1)
            return _spill(path, dict(zip("txyp", handles, strict=True)), dict.fromkeys("txyp", dtype), shape[0], hw)
        across = 1 if columns else 4

        def following(start: int, stop: int) -> Mapping[str, npt.NDArray[Any]]:
            return _split(_next(path, member, handles[0], dtype, across * (stop - start), stop), columns)

        return spilled(path, ColumnSource(path, following, shape[0], hw))


def _next(path: Path, name: str, handle: IO[bytes], dtype: np.dtype[Any], count: int, stop: int) -> npt.NDArray[Any]:
    """The next values of an array in an archive; ``stop`` is the event that they lead up to."""
    data = handle.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise damaged(path, f"{name} ends before event number {stop}")
    return np.frombuffer(data, dtype=dtype)


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
        return {key: _next(path, key, handle, dtypes[key], stop - start, stop) for key, handle in handles.items()}

    return spilled(path, ColumnSource(path, following, length, hw))


def spilled(path: Path, source: ColumnSource) -> ColumnSource:
    """The same events from a temporary file; ``source`` is read once, in order."""
    spill = Spill()
    for index in range(source.num_chunks):
        spill.append(source.chunk(index))
    cut_bytes = source.findings()["cut_bytes"]
    return ColumnSource(path, spill.rows, spill.num_events, source.hw, 0, cut_bytes, source.fractions)
