"""The one writer of sequences: preprocessing, the synthetic world and the pseudo-labeler all use it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from data.events.types import Events
from data.payloads.event_store import EventWriter
from data.payloads.frame_writer import FrameWriter
from data.sequences.stored_labels import SequencePaths, StoredLabels
from utils.arrays import load_indices
from utils.atomic import atomic_dir
from utils.boxes import to_bbox_array
from utils.errors import UserError


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array, allow_pickle=False)


def _write_labels(paths: SequencePaths, labels: StoredLabels) -> None:
    problem = labels.problem()
    if problem:
        raise ValueError(f"{paths.root}: {problem}")
    paths.labels_npz.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        paths.labels_npz,
        labels=to_bbox_array(labels.boxes),
        objframe_idx_2_label_idx=labels.objframe_idx_2_label_idx.astype(np.int64),
    )
    _save(paths.objframe_idx_2_repr_idx, labels.objframe_idx_2_repr_idx.astype(np.int64))
    if labels.label_timestamps_us is not None:
        _save(paths.label_timestamps, labels.label_timestamps_us.astype(np.int64))


def _refuse_existing(root: Path) -> None:
    if root.exists() and any(root.iterdir()):
        raise UserError(
            expected="a sequence folder that does not exist yet",
            got="a folder with files",
            where=str(root),
            fix="choose another output folder, or delete this one to write it again",
        )


class SequenceWriter:
    """Write one sequence; its folder appears by rename when the ``with`` block ends well, and not at all otherwise.

    Args:
        root: the sequence's folder, absent or empty.
        ev_repr_name: name of the representation, for example ``stacked_histogram_dt=50_nbins=10``.
        channels, height, width: size of the frames **as stored**.
        dtype: uint8 (stacked histogram), int8 (mixed density) or float16 (voxel grid).
        downsampled: frames are at half resolution.
        finish: called with the folder, still under its temporary name, when all files of it are closed; what it adds
            appears with the rest.
        replace: a sequence that is there stays until this one is whole, and is replaced by it.
        events_of: size of the sensor and length of a window (us), where the events of each window are kept, too.

    Raises:
        UserError: ``root`` holds files already.
    """

    def __init__(
        self,
        root: Path | str,
        ev_repr_name: str,
        channels: int,
        height: int,
        width: int,
        dtype: npt.DTypeLike = np.uint8,
        downsampled: bool = False,
        finish: Callable[[Path], object] | None = None,
        replace: bool = False,
        events_of: tuple[tuple[int, int], int] | None = None,
    ) -> None:
        self._events_of = events_of
        self._events: EventWriter | None = None
        self._finish = finish
        self._replace = replace
        self.paths = SequencePaths(Path(root), ev_repr_name, downsampled)
        self.num_frames = 0
        self._frame_shape = (channels, height, width)
        self._dtype = np.dtype(dtype)
        self._stack = ExitStack()
        self._num_times: int | None = None
        self._labels: StoredLabels | None = None

    def __enter__(self) -> SequenceWriter:
        if not self._replace:
            _refuse_existing(self.paths.root)
        with ExitStack() as stack:  # undone if creating the file fails
            root = stack.enter_context(atomic_dir(self.paths.root, self._replace))
            self._temporary = SequencePaths(root, self.paths.ev_repr_name, self.paths.downsampled)
            self._temporary.h5.parent.mkdir(parents=True)
            stack.push(self._closed)
            file = stack.enter_context(h5py.File(self._temporary.h5, "w", locking=False))
            self._frames = FrameWriter(file, self._frame_shape, self._dtype)
            if self._events_of is not None:
                file = stack.enter_context(h5py.File(self._temporary.events, "w", locking=False))
                self._events = EventWriter(file, *self._events_of)
            self._stack = stack.pop_all()
        return self

    def append_frames(self, frames: npt.NDArray[Any], given: bool = False) -> None:
        """Append frames [n, C, H, W] (or one frame [C, H, W]); ``given`` ones are not copied and must not change."""
        self._frames.append(frames, given)
        self.num_frames = len(self._frames)

    def append_events(self, events: Events, start_us: int) -> None:
        """Append the events of a window that begins at ``start_us``, where they are kept."""
        if self._events is not None:
            self._events.append(events, start_us)

    def write_frame_timestamps(self, timestamps_us: npt.ArrayLike) -> None:
        """Write the end time of every frame's window, int64 [T], microseconds."""
        times = np.asarray(timestamps_us, dtype=np.int64)
        self._num_times = len(times)
        _save(self._temporary.frame_timestamps, times)

    def write_labels(self, labels: StoredLabels) -> None:
        """Write boxes, labelled frames and their times."""
        _write_labels(self._temporary, labels)
        self._labels = labels

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._frames.close()
            if self._events is not None:
                self._events.close()
            self._check_complete()

    def _closed(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._finish is not None:
            self._finish(self._temporary.root)

    def _check_complete(self) -> None:
        labels, root = self._labels, self.paths.root
        if labels is None or self._num_times is None:
            raise ValueError(f"{root}: labels and frame times must be written before the end")
        if self._num_times != self.num_frames:
            raise ValueError(f"{root}: {self._num_times} frame times for {self.num_frames} frames")
        if self._events is not None and len(self._events) != self.num_frames:
            raise ValueError(f"{root}: events of {len(self._events)} windows for {self.num_frames} frames")
        if len(labels) and labels.objframe_idx_2_repr_idx[-1] >= self.num_frames:
            raise ValueError(f"{root}: labels lie behind the last of {self.num_frames} frames")


def write_label_sequence(root: Path | str, source: SequencePaths, labels: StoredLabels) -> None:
    """Write other labels for the frames of ``source`` as a sequence of its own; frames and their times are linked.

    Args:
        root: the new sequence's folder, absent or empty; it appears whole.
        source: the sequence whose frames the labels belong to (links lead to its real files).
        labels: what to write; ``label_timestamps_us`` None takes the times of the labelled frames where known.

    Raises:
        UserError: ``root`` holds files already, or a file of ``source`` is missing.
    """
    root = Path(root)
    _refuse_existing(root)
    source.check()
    times = source.frame_timestamps
    if labels.label_timestamps_us is None and times.is_file():
        frame_times = load_indices(times)
        last = labels.objframe_idx_2_repr_idx.max(initial=-1)
        if last >= len(frame_times):
            raise UserError(
                expected=f"frame times up to that of frame {last}, which is labelled",
                got=f"{len(frame_times)} times",
                where=str(times),
                fix="restore the file, or preprocess the sequence again",
            )
        labels = StoredLabels(
            boxes=labels.boxes,
            objframe_idx_2_label_idx=labels.objframe_idx_2_label_idx,
            objframe_idx_2_repr_idx=labels.objframe_idx_2_repr_idx,
            label_timestamps_us=frame_times[labels.objframe_idx_2_repr_idx],
        )
    with atomic_dir(root) as temporary:
        target = SequencePaths(temporary, source.ev_repr_name, source.downsampled)
        _write_labels(target, labels)
        target.h5.symlink_to(source.h5.resolve())
        if source.events.is_file():
            target.events.symlink_to(source.events.resolve())
        if times.is_file():
            target.frame_timestamps.symlink_to(times.resolve())
