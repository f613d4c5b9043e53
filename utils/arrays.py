"""Arrays: NumPy files of users, read without pickle and with one kind of error; memory for what is in between."""

from __future__ import annotations

import struct
import threading
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.errors import UserError
from utils.json_files import memory_bytes

ARRAY_ERRORS = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError),
    *(SyntaxError, tokenize.TokenError, RecursionError),  # a header is a Python literal
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError),  # an archive is a ZIP file
)
"""What NumPy raises for files that are not, or no longer, what it wrote."""

_of_thread = threading.local()
_FIX = "restore the file, or preprocess the sequence again"


def load_npy(path: Path | str, fix: str = _FIX) -> npt.NDArray[Any]:
    """Read the one array of a ``.npy`` file.

    Raises:
        UserError: the file is missing, damaged, an archive, or holds Python objects.
    """
    content = _load(path, fix)
    if isinstance(content, np.ndarray):
        return content
    content.close()
    raise _unreadable(path, "an archive of several", fix)


def load_npz(path: Path | str, *names: str, fix: str = _FIX) -> dict[str, npt.NDArray[Any]]:
    """Read these arrays of a ``.npz`` file, all of them if none is named.

    Raises:
        UserError: the file is missing, damaged, a single array, or lacks one of them.
    """
    content = _load(path, fix)
    if isinstance(content, np.ndarray):
        raise _unreadable(path, "a single array", fix)
    with content:
        unpacked = sum(member.file_size for member in content.zip.infolist()) if content.zip is not None else 0
        if unpacked > memory_bytes() // 2:  # before anything is read: a small archive may hold any number of zeros
            got = f"an archive that unpacks to {unpacked / 2**30:.1f} GiB, more than half of this machine's memory"
            raise UserError(expected="arrays that fit the memory", got=got, where=str(path), fix=fix)
        missing = [name for name in names if name not in content.files]
        if missing:
            got = f"{', '.join(content.files) or 'nothing'}: {', '.join(missing)} missing"
            raise UserError(expected=f"arrays {', '.join(names)}", got=got, where=str(path), fix=fix)
        try:
            arrays = {name: content[name] for name in names or content.files}
            no_array = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
            if no_array:  # NumPy gives the bytes of a member that it does not know
                raise _unreadable(path, f"{no_array[0]} is no array", fix)
            return arrays
        except ARRAY_ERRORS as error:
            raise _unreadable(path, describe(error), fix) from error


def load_indices(path: Path | str, fix: str = _FIX) -> npt.NDArray[np.int64]:
    """Read whole numbers [N], such as times in µs or indices.

    Raises:
        UserError: as ``load_npy``, or the array is of another kind.
    """
    return as_indices(load_npy(path, fix), str(path), fix)


def as_indices(array: npt.NDArray[Any], where: str, fix: str = _FIX) -> npt.NDArray[np.int64]:
    """Whole numbers [N] as int64.

    Raises:
        UserError: another type or shape.
    """
    if array.ndim != 1 or array.dtype.kind not in "iu":
        got = f"{array.dtype} {list(array.shape)}"
        raise UserError(expected="whole numbers [N]", got=got, where=where, fix=fix)
    return array.astype(np.int64)


def describe(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _load(path: Path | str, fix: str) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise _unreadable(path, "no such file", fix) from error
    except ARRAY_ERRORS as error:
        raise _unreadable(path, describe(error), fix) from error


def _unreadable(path: Path | str, got: str, fix: str) -> UserError:
    return UserError(expected="a readable NumPy file", got=got, where=str(path), fix=fix)


def scratch(use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array with undefined contents, the same again when this thread asks for the same use and form of it."""
    array: npt.NDArray[Any] | None = getattr(_of_thread, use, None)
    if array is None or array.shape != shape or array.dtype != dtype:
        array = np.empty(shape, dtype=dtype)
        setattr(_of_thread, use, array)
    return array
