"""The store of frames while it is written; loads without torch, which preprocessing does not need."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from data.payloads.chunks import pack, threads_of
from data.payloads.frame_reader import DATASET_NAME

Frames = npt.NDArray[Any]

_BLOCK_BYTES = 1 << 19
"""Unpacked bytes of a block. With the filter's own choice, a quarter, a frame takes half as long again to unpack."""
_AHEAD = 4
"""Frames that are packed while others are made."""
_GROWTH = 64
"""Frames by which the file grows; ``close`` gives it its length."""


class FrameWriter:
    """Frames of a sequence while they are written, one compressed chunk a frame.

    Frames are packed by threads of this process and written by the caller's, in order; ``close`` writes the last.

    Args:
        file: open for writing.
        frame_shape: (C, H, W) as stored.
        dtype: of the frames.
    """

    def __init__(self, file: h5py.File, frame_shape: tuple[int, int, int], dtype: npt.DTypeLike) -> None:
        self._data = file.create_dataset(
            DATASET_NAME,
            shape=(0, *frame_shape),
            maxshape=(None, *frame_shape),
            chunks=(1, *frame_shape),
            dtype=np.dtype(dtype),
            **hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE),
        )
        self._form = tuple(frame_shape), np.dtype(dtype)
        self._count = 0
        self._waiting: deque[tuple[Frames, Future[bytes | None]]] = deque()

    def __len__(self) -> int:
        return self._count

    def append(self, part: Frames, given: bool = False) -> None:
        """Append frames [n, C, H, W] (or one frame [C, H, W]); unless they are ``given`` they may change afterwards."""
        frames = part[None] if part.ndim == 3 else part
        if (frames.shape[1:], frames.dtype) != self._form:
            (shape, dtype), got = self._form, f"{frames.dtype} {frames.shape[1:]}"
            raise ValueError(f"frames are {got}, not {dtype} {shape}")
        for frame in frames:
            mine = frame if given else frame.copy()
            self._waiting.append((mine, threads_of(os.getpid()).submit(pack, mine, _BLOCK_BYTES)))
            self._count += 1
            self._write(_AHEAD)

    def close(self) -> None:
        """Write what waits."""
        self._write(0)
        self._data.resize(self._count, axis=0)

    def _write(self, leave: int) -> None:
        """Write the frames that were packed first, all but some."""
        while len(self._waiting) > leave:
            index = self._count - len(self._waiting)
            frame, packed = self._waiting.popleft()
            chunk = packed.result()
            if index % _GROWTH == 0:
                self._data.resize(index + _GROWTH, axis=0)
            if chunk is None:
                self._data[index] = frame
            else:
                self._data.id.write_direct_chunk((index, 0, 0, 0), chunk)
