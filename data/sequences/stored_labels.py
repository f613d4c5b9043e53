"""Where the files of a sequence lie, and its boxes grouped by labelled frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.representations.names import name_on_disk
from utils.arrays import as_indices, load_indices, load_npz
from utils.boxes import to_bbox_array
from utils.errors import UserError

EV_DIR = "event_representations_v2"
LABEL_DIR = "labels_v2"

TIME_TOLERANCE_US = 2000
"""Boxes and the labelled frame that they belong to may be apart by this much (as in preprocessing)."""

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SequencePaths:
    """Files of one sequence.

    Attributes:
        root: the sequence's folder.
        ev_repr_name: for example ``stacked_histogram_dt=50_nbins=10``; an older name if the sequence only has that.
        downsampled: use the half-resolution frames.
    """

    root: Path
    ev_repr_name: str
    downsampled: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "ev_repr_name", name_on_disk(self.root / EV_DIR, self.ev_repr_name))

    @property
    def name(self) -> str:
        """Name of the sequence's folder."""
        return self.root.name

    @property
    def ev_dir(self) -> Path:
        """Folder of the frames and their times."""
        return self.root / EV_DIR / self.ev_repr_name

    @property
    def h5(self) -> Path:
        """Frames, ``data`` [T, C, H, W]."""
        return self.ev_dir / (
            "event_representations_ds2_nearest.h5" if self.downsampled else "event_representations.h5"
        )

    @property
    def events(self) -> Path:
        """Raw events of each window, where preprocessing kept them."""
        return self.ev_dir / "events.h5"

    @property
    def objframe_idx_2_repr_idx(self) -> Path:
        """int64 [F]: representation index of the i-th labelled frame."""
        return self.ev_dir / "objframe_idx_2_repr_idx.npy"

    @property
    def frame_timestamps(self) -> Path:
        """int64 [T]: end of each frame's window in microseconds."""
        return self.ev_dir / "timestamps_us.npy"

    @property
    def labels_npz(self) -> Path:
        """Boxes and the first box of every labelled frame."""
        return self.root / LABEL_DIR / "labels.npz"

    @property
    def label_timestamps(self) -> Path:
        """int64 [F]: time of each labelled frame in microseconds."""
        return self.root / LABEL_DIR / "timestamps_us.npy"

    def check(self) -> None:
        """Raise UserError naming the first file that is missing (times are not needed to train)."""
        for path in (self.h5, self.objframe_idx_2_repr_idx, self.labels_npz):
            if not path.is_file():
                raise UserError(
                    expected=f"{path.name} of the sequence",
                    got="a link that leads nowhere" if path.is_symlink() else "no such file",
                    where=str(path),
                    fix="check dataset.path, dataset.representation and dataset.downsample_by_factor_2, or preprocess",
                )


@dataclass
class StoredLabels:
    """Boxes of one sequence, grouped by labelled frame.

    Attributes:
        boxes: ``BBOX_DTYPE`` [N], ordered by frame.
        objframe_idx_2_label_idx: int64 [F], first box of the i-th labelled frame.
        objframe_idx_2_repr_idx: int64 [F], its representation index, ascending.
        label_timestamps_us: int64 [F], its time, or None if unknown.
    """

    boxes: npt.NDArray[Any]
    objframe_idx_2_label_idx: Int64Array
    objframe_idx_2_repr_idx: Int64Array
    label_timestamps_us: Int64Array | None = None

    def __len__(self) -> int:
        return len(self.objframe_idx_2_repr_idx)

    def frame(self, index: int) -> npt.NDArray[Any]:
        """Boxes of the ``index``-th labelled frame, ``BBOX_DTYPE`` [n], a view."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = int(self.objframe_idx_2_label_idx[index])
        last = index + 1 == len(self)
        return self.boxes[start : len(self.boxes) if last else int(self.objframe_idx_2_label_idx[index + 1])]

    def problem(self) -> str | None:
        """What is inconsistent, in words, or None."""
        first, frames = self.objframe_idx_2_label_idx, self.objframe_idx_2_repr_idx
        if len(first) != len(frames):
            return f"{len(first)} entries of first boxes for {len(frames)} labelled frames"
        if len(first) and (first[0] != 0 or np.any(np.diff(first) < 0) or first[-1] > len(self.boxes)):
            return f"first boxes that do not ascend from 0 to at most {len(self.boxes)}"
        if len(frames) and (frames[0] < 0 or np.any(np.diff(frames) <= 0)):
            return "representation indices that do not ascend"
        if self.label_timestamps_us is not None and len(self.label_timestamps_us) != len(frames):
            return f"{len(self.label_timestamps_us)} label times for {len(frames)} labelled frames"
        if not len(frames) and len(self.boxes):
            return f"{len(self.boxes)} boxes without a labelled frame"
        return None

    def time_problem(self) -> str | None:
        """The first box whose time is not that of its labelled frame, in words, or None.

        Pseudo labels have no time (t = 0). Where frames have none stored, that of their first box counts.
        """
        first, t = self.objframe_idx_2_label_idx, self.boxes["t"]
        frame = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(t))))
        times = t[first[frame]] if self.label_timestamps_us is None else self.label_timestamps_us[frame]
        apart = (t > 0) & (times > 0) & (np.abs(t - times) > TIME_TOLERANCE_US)
        if not apart.any():
            return None
        box = int(apart.argmax())
        counted = len(t) > len(first) and np.array_equal(first, np.arange(len(first))) and (t == times[box]).any()
        hint = ": objframe_idx_2_label_idx counts frames, it should give the first box of each" if counted else ""
        source = "its first box" if self.label_timestamps_us is None else "timestamps_us.npy"
        return f"box {box} at {t[box]} µs in labelled frame {frame[box]}, by {source} at {times[box]} µs{hint}"


def read_labels(paths: SequencePaths) -> StoredLabels:
    """Read a sequence's labels, whatever dialect their records have, into ``BBOX_DTYPE``.

    Raises:
        UserError: a file is missing, unreadable or contradicts another.
    """
    arrays = load_npz(paths.labels_npz, "labels", "objframe_idx_2_label_idx")
    try:
        boxes = to_bbox_array(arrays["labels"])
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise UserError(
            expected="'labels' with the fields t, x, y, w, h, class_id",
            got=f"fields {', '.join(arrays['labels'].dtype.names or ()) or 'none'} ({error})",
            where=str(paths.labels_npz),
            fix="restore the file, or preprocess the sequence again",
        ) from error
    labels = StoredLabels(
        boxes=boxes,
        objframe_idx_2_label_idx=as_indices(arrays["objframe_idx_2_label_idx"], str(paths.labels_npz)),
        objframe_idx_2_repr_idx=load_indices(paths.objframe_idx_2_repr_idx),
        label_timestamps_us=load_indices(paths.label_timestamps) if paths.label_timestamps.is_file() else None,
    )
    problem = labels.problem() or labels.time_problem()
    if problem:
        raise UserError(
            expected="consistent labels", got=problem, where=str(paths.root), fix="restore or preprocess the sequence"
        )
    return labels
