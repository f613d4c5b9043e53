"""Read frames of a sequence; files are opened on first use and stay open for a while, per process."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import hdf5plugin  # noqa: F401  (registers the Blosc filter with HDF5)
import numpy as np
import numpy.typing as npt

from data.payloads.chunks import in_stripes, is_direct, raw_chunk, unpack
from utils.arrays import scratch
from utils.errors import UserError

Frame = npt.NDArray[Any]

DATASET_NAME = "data"
MAX_OPEN_FILES = 256
"""Files a process keeps open. Opening one again costs as much as reading several frames; each holds about 1 MB."""


class UnreadableFrames(UserError):
    """A frame file that is missing or damaged; ``path`` is the file."""

    def __init__(self, *, expected: str, got: str, where: str, fix: str, path: str) -> None:
        super().__init__(expected=expected, got=got, where=where, fix=fix)
        self.path = path


class _OpenFile(NamedTuple):
    """An open file.

    Attributes:
        identity: of the file when it was opened.
        data: its frames.
        direct: frames can be unpacked outside HDF5.
    """

    identity: tuple[int, int]
    data: h5py.Dataset
    direct: bool


class _OpenFiles:
    """Least recently used open HDF5 files of one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self._files: OrderedDict[str, _OpenFile] = OrderedDict()

    def get(self, path: Path) -> _OpenFile:
        """The frames of ``path``; a file replaced since it was opened is opened anew."""
        try:
            status = path.stat()
        except OSError as error:
            raise UnreadableFrames(
                expected="a file of event frames",
                got="a link that leads nowhere" if path.is_symlink() else "no such file",
                where=str(path),
                fix="check dataset.path, dataset.representation and dataset.downsample_by_factor_2, or preprocess",
                path=str(path),
            ) from error
        key, identity = str(path), (status.st_ino, status.st_mtime_ns)
        known = self._files.get(key)
        if known is not None and known.identity != identity:
            self._files.pop(key).data.file.close()  # HDF5 would hand out the open file again
            known = None
        if known is None:
            data = _open(path)
            known = self._files[key] = _OpenFile(identity, data, is_direct(data))
            while len(self._files) > MAX_OPEN_FILES:
                self._files.popitem(last=False)[1].data.file.close()
        self._files.move_to_end(key)
        return known


def _damaged(path: Path, got: str, frames: str = "") -> UnreadableFrames:
    sequence = path.parents[2].name if len(path.parents) > 2 else path.stem
    return UnreadableFrames(
        expected=f"an HDF5 file with '{DATASET_NAME}' [T, C, H, W]",
        got=got,
        where=f"{path}, sequence {sequence}{frames}",
        fix="delete the sequence and preprocess (or download) it again; "
        "in training, training.on_bad_sequence=skip goes on without it",
        path=str(path),
    )


def _open(path: Path) -> h5py.Dataset:
    try:
        # Without HDF5's chunk cache: no frame is read twice, and it would hold 8 MB for each open file.
        file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
    except PermissionError as error:
        raise UnreadableFrames(
            expected="a file of event frames that may be read",
            got="no permission to read it",
            where=str(path),
            fix="the frames may be well: ask who owns them for the permission, e.g. chmod -R a+rX on the dataset",
            path=str(path),
        ) from error
    except OSError as error:
        raise _damaged(path, f"a damaged file ({error})") from error
    try:
        data = file.get(DATASET_NAME)
        if isinstance(data, h5py.Dataset) and data.ndim == 4 and data.dtype.kind in "iuf":
            return data
        got = f"entries {sorted(file)}"
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # of a damaged table of contents
        got = f"a damaged file ({error})"
    file.close()
    raise _damaged(path, got)


_open_files = _OpenFiles()


def _current() -> _OpenFiles:
    """Files of the running process; a forked child starts with none, for HDF5 handles must not cross a fork."""
    global _open_files
    if _open_files.pid != os.getpid():
        _open_files = _OpenFiles()
    return _open_files


class FrameReader:
    """Frames of one file, [T, C, H, W]; cheap to make, to keep and to send to another process.

    Args:
        h5_path: the file. It is opened on first use (UserError if it is missing or damaged).
    """

    def __init__(self, h5_path: Path | str) -> None:
        self.path = Path(h5_path)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, C, H, W)."""
        files = _current()
        with files.lock:
            t, c, h, w = files.get(self.path).data.shape
        return t, c, h, w

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 (stacked histogram), int8 (mixed density) or float16 (voxel grid)."""
        files = _current()
        with files.lock:
            return files.get(self.path).data.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Frames ``start`` to ``stop`` (exclusive), [stop - start, C, H, W].

        Raises:
            UserError: the range leaves the file, or its data are damaged.
        """
        frames = np.empty((max(stop - start, 0), *self.shape[1:]), dtype=self.dtype)
        self.read_into(start, stop, frames)
        return frames

    def read_into(
        self,
        start: int,
        stop: int,
        outs: Frame,
        move: Callable[[Frame, Frame], None] | None = None,
        threads: int = 1,
    ) -> None:
        """Frames ``start`` to ``stop`` (exclusive), each into memory of its own.

        Args:
            start: first frame.
            stop: the one after the last.
            outs: [n, C, H, W] of the file's type; each frame is one piece of memory if nothing moves.
            move: puts a frame (the first) into its place (the second).
            threads: that share the work.

        Raises:
            UserError: the range leaves the file, or its data are damaged.
        """
        files = _current()
        with files.lock:
            _, data, direct = files.get(self.path)
            if not 0 <= start <= stop <= len(data):
                raise UserError(
                    expected=f"frames {start} to {stop}",
                    got=f"{len(data)} frames",
                    where=str(self.path),
                    fix="labels and frames do not belong together: preprocess the sequence again",
                )
            chunks = [raw_chunk(data, index) for index in range(start, stop)] if direct else []
            whole = None if direct else self._by_hdf5(data, start, stop, f", frames {start} to {stop - 1}")
            shape, dtype = data.shape[1:], data.dtype

        def place(index: int) -> None:
            frame = outs[index] if move is None else scratch("frame", shape, dtype)
            chunk = chunks[index] if direct else None
            if whole is not None:
                frame = whole[index]
            elif chunk is None or not unpack(chunk, frame):
                with files.lock:  # HDF5 knows what else a frame can be, and what is wrong with it
                    data = files.get(self.path).data
                    where = f", frames {start} to {stop - 1}"
                    frame[...] = self._by_hdf5(data, start + index, start + index + 1, where)[0]
            if move is not None:
                move(frame, outs[index])
            elif whole is not None:
                outs[index][...] = frame

        in_stripes(place, stop - start, threads)

    def _by_hdf5(self, data: h5py.Dataset, start: int, stop: int, frames: str) -> npt.NDArray[Any]:
        """Frames as HDF5 reads them; ``frames`` is for the message."""
        try:
            return data[start:stop]
        except (OSError, RuntimeError) as error:
            raise _damaged(self.path, f"damaged data ({error})", frames) from error
