"""Sequences of clips on disk: ``<path>/{train,val,test}/NAME.h5``, one sequence a file.

A file holds, for N frames, ``blurred`` and ``sharp`` (uint8 [N, H, W, 3], RGB), ``spikes`` (uint8 [N, K, H, W], counts
in K equal parts of the exposure) and ``exposure_us`` (int64 [N, 2], its beginning and end).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from utils.atomic import atomic_path
from utils.errors import UserError

Array = npt.NDArray[Any]

PICTURES = ("blurred", "sharp")
SPIKES, EXPOSURE = "spikes", "exposure_us"
SUFFIX = ".h5"
_FIX = "restore the file, or make the clips anew (scripts/make_synthetic.py clips.path=FOLDER)"


@dataclass(frozen=True)
class ClipSequence:
    """A file of frames.

    Attributes:
        path: of the file.
        frames: how many, N.
        size: height and width.
        bins: parts of an exposure, K.
    """

    path: Path
    frames: int
    size: tuple[int, int]
    bins: int

    def read(self, start: int, stop: int, window: tuple[slice, slice]) -> dict[str, Array]:
        """Frames from ``start`` to ``stop``, cut to rows and columns: ``blurred``, ``sharp`` and ``spikes``, uint8.

        Raises:
            UserError: the file cannot be read.
        """
        rows, columns = window
        try:
            with h5py.File(self.path, locking=False) as file:
                found = {name: np.asarray(_array(file, name)[start:stop, rows, columns]) for name in PICTURES}
                return found | {SPIKES: np.asarray(_array(file, SPIKES)[start:stop, :, rows, columns])}
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise _unreadable(self.path, f"{type(error).__name__}: {error}") from error


def open_sequence(path: Path) -> ClipSequence:
    """Sizes of a file.

    Raises:
        UserError: it is missing, damaged, or holds something else.
    """
    try:
        with h5py.File(path, locking=False) as file:
            arrays = {name: _array(file, name) for name in (*PICTURES, SPIKES)}
            shapes, types = ({name: getattr(a, what) for name, a in arrays.items()} for what in ("shape", "dtype"))
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    frames, bins, height, width = shapes[SPIKES] if len(shapes[SPIKES]) == 4 else (0, 0, 0, 0)
    right = all(shapes[name] == (frames, height, width, 3) for name in PICTURES)
    if not right or frames == 0 or set(types.values()) != {np.dtype(np.uint8)}:
        raise _unreadable(path, ", ".join(f"{name} {shape} of {types[name]}" for name, shape in shapes.items()))
    return ClipSequence(path, frames, (height, width), bins)


def sequences_of(folder: Path | str, split: str) -> list[ClipSequence]:
    """Sequences of a split, sorted by name.

    Raises:
        UserError: there are none, or one cannot be read.
    """
    root = Path(folder) / split
    paths = sorted(root.glob(f"*{SUFFIX}")) if root.is_dir() else []
    if not paths:
        raise UserError(
            expected=f"clips: files *{SUFFIX} of blurred and sharp frames and spikes",
            got="no such folder" if not root.is_dir() else "none",
            where=str(root),
            fix="give the folder of clips: dataset.path=FOLDER; synthetic ones: scripts/make_synthetic.py "
            "clips.path=FOLDER",
        )
    return [open_sequence(path) for path in paths]


def write_sequence(path: Path, pictures: dict[str, Array], spikes: Array, exposure_us: Array) -> None:
    """Write a file whole or not at all.

    Args:
        path: of the file; its folder is made.
        pictures: ``blurred`` and ``sharp``, uint8 [N, H, W, 3].
        spikes: uint8 [N, K, H, W].
        exposure_us: int64 [N, 2].
    """
    packing = hdf5plugin.Blosc(cname="zstd", clevel=3, shuffle=hdf5plugin.Blosc.BITSHUFFLE)
    with atomic_path(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        for name, array in {**pictures, SPIKES: spikes}.items():
            assert array.dtype == np.uint8, name
            file.create_dataset(name, data=array, chunks=(1, *array.shape[1:]), **packing)
        file.create_dataset(EXPOSURE, data=exposure_us)


def _array(file: h5py.File, name: str) -> h5py.Dataset:
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise KeyError(f"{name} is no array")
    return found


def _unreadable(path: Path, got: str) -> UserError:
    return UserError(expected="frames blurred and sharp, and spikes, as HDF5", got=got, where=str(path), fix=_FIX)
