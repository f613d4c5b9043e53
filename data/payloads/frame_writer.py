"""The store of frames while it is written; loads without torch, which preprocessing does not need."""

from __future__ import annotations

from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from data.payloads.frame_reader import DATASET_NAME

Frames = npt.NDArray[Any]


class FrameWriter:
    """Frames of a sequence while they are written, one compressed chunk a frame.

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
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, part: Frames) -> None:
        """Append frames [n, C, H, W] (or one frame [C, H, W])."""
        frames, data = part[None] if part.ndim == 3 else part, self._data
        if frames.shape[1:] != data.shape[1:] or frames.dtype != data.dtype:
            raise ValueError(f"frames are {frames.dtype} {frames.shape[1:]}, not {data.dtype} {data.shape[1:]}")
        stop = self._count + len(frames)
        data.resize(stop, axis=0)
        data[self._count : stop] = frames
        self._count = stop
