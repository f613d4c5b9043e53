"""Frames unpacked and packed outside HDF5 and its lock, by the library of the Blosc filter itself."""

from __future__ import annotations

import ctypes
import functools
import os
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from utils.arrays import scratch

Frame = npt.NDArray[Any]
Item = TypeVar("Item")
Made = TypeVar("Made")

_BLOSC = 32001
_HEADER = struct.Struct("<4x3I")  # bytes unpacked, of a block, packed with this header
_OVERHEAD = 16


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The filter's library; None where it does not offer what is needed."""
    for path in sorted(Path(hdf5plugin.PLUGIN_PATH).glob("libh5blosc.*")):
        try:
            library = ctypes.CDLL(str(path))
            unpack, pack = library.blosc_decompress_ctx, library.blosc_compress_ctx
        except (OSError, AttributeError):
            continue
        size, pointer, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
        unpack.argtypes = [ctypes.c_char_p, pointer, size, number]
        pack.argtypes = [number, number, size, size, pointer, pointer, size, ctypes.c_char_p, size, number]
        return library
    return None


def is_direct(data: h5py.Dataset) -> bool:
    """Whether a chunk of [T, C, H, W] is one frame, packed by Blosc and by nothing else."""
    if data.chunks != (1, *data.shape[1:]) or data.dtype != data.dtype.newbyteorder("="):
        return False
    filters = data.id.get_create_plist()
    return filters.get_nfilters() == 1 and filters.get_filter(0)[0] == _BLOSC and _library() is not None


def raw_chunk(data: h5py.Dataset, index: int) -> bytes | None:
    """A frame as it lies in the file; None where only HDF5 can tell what the frame is. Hold HDF5's lock."""
    try:
        skipped_filters, chunk = data.id.read_direct_chunk((index, 0, 0, 0))
    except (OSError, RuntimeError, ValueError):
        return None
    return None if skipped_filters else chunk


def unpack(chunk: bytes, out: Frame) -> bool:
    """Unpack a chunk into a frame [C, H, W], one piece of memory; False if it is not of this size, or damaged."""
    library = _library()
    if library is None or len(chunk) < _HEADER.size or not out.flags.c_contiguous:
        return False
    unpacked, _, packed = _HEADER.unpack_from(chunk)
    if unpacked != out.nbytes or packed != len(chunk):
        return False
    return library.blosc_decompress_ctx(chunk, out.ctypes.data, out.nbytes, 1) == out.nbytes


def pack(frame: Frame, block_bytes: int) -> bytes | None:
    """Pack a frame [C, H, W] as the filter does with zstd; None where the filter must do it itself."""
    library = _library()
    if library is None:
        return None
    frame = np.ascontiguousarray(frame)
    room = scratch("packed", (frame.nbytes + _OVERHEAD,), np.dtype(np.uint8))
    size = library.blosc_compress_ctx(
        1, 1, frame.itemsize, frame.nbytes, frame.ctypes.data, room.ctypes.data, room.nbytes, b"zstd", block_bytes, 1
    )
    return room[:size].tobytes() if size > 0 else None


@functools.cache
def threads_of(pid: int) -> ThreadPoolExecutor:
    """Threads of a process; a forked child must not ask for its parent's."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"frames-{pid}")


def in_stripes(work: Callable[[int], None], count: int, threads: int) -> None:
    """Call ``work`` with 0 to ``count - 1``, in several threads of which this is one; the first error is raised."""
    threads = max(min(threads, count), 1)

    def stripe(first: int) -> None:
        for index in range(first, count, threads):
            work(index)

    others = [threads_of(os.getpid()).submit(stripe, first) for first in range(1, threads)]
    try:
        stripe(0)
    finally:
        wait(others)
    for other in others:
        other.result()


def one_ahead(work: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """``work`` of each item in order; a thread is at the next one while the caller uses what it got, never at two."""
    threads, waiting = threads_of(os.getpid()), deque[Future[Made]]()
    try:
        for item in items:
            found = [future.result() for future in waiting]
            waiting.clear()
            waiting.append(threads.submit(work, item))
            yield from found
        yield from [future.result() for future in waiting]
    finally:
        wait(waiting)
