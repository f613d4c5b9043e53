"""One sequence in memory: its labels as tensors, its frames behind a reader."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.labels.object_labels import ObjectLabels
from data.payloads.base import Payload
from data.payloads.frames import FramesPayload
from data.sequences.layout import SequencePaths, StoredLabels, read_labels
from utils.arrays import load_npy
from utils.boxes import Label, usable_boxes
from utils.errors import UserError

log = logging.getLogger(__name__)

Int64Array = npt.NDArray[np.int64]


@dataclass
class LaneLabels:
    """Labels that fall into one chunk of L positions.

    Attributes:
        rows: float32 [n, 8], ordered by position.
        t_us: exact times int64 [n].
        position: int64 [n], position in the chunk.
        hidden: bool [n], box of a frame whose labels weak or semi supervision hides.
        frame_position: int64 [f], positions of the labelled frames, ascending ...
        frame_hidden: bool [f], ... and whether theirs are hidden.
    """

    rows: Tensor
    t_us: Tensor
    position: Tensor
    hidden: Tensor
    frame_position: Tensor
    frame_hidden: Tensor


class EventSequence:
    """A sequence of frames with labels; cheap to send to loader processes (files open on first read there).

    Args:
        paths: its files.
        sensor_hw: frame size the stored boxes lie in; halved with the boxes if ``paths.downsampled``.
        stored: its labels; read from disk by default.
        payload: what its input is made of; frames by default.
    """

    def __init__(
        self,
        paths: SequencePaths,
        sensor_hw: tuple[int, int],
        stored: StoredLabels | None = None,
        payload: Payload[Any] | None = None,
    ) -> None:
        stored = read_labels(paths) if stored is None else stored
        self.paths = paths
        self.payload: Payload[Any] = FramesPayload() if payload is None else payload
        self.reader: Any = self.payload.open(getattr(paths, self.payload.file))
        self.repr_idx: Int64Array = stored.objframe_idx_2_repr_idx
        self.first_row: Int64Array = np.append(stored.objframe_idx_2_label_idx, len(stored.boxes))
        self.hidden: npt.NDArray[np.bool_] = np.zeros(len(stored), dtype=bool)
        keep = torch.from_numpy(_usable(stored, paths))
        whole = ObjectLabels.from_structured_array(stored.boxes[keep.numpy()], sensor_hw)
        if paths.downsampled:
            keep[keep.clone()] = whole.scale_(0.5)
        self.size_hw = whole.input_size_hw
        self.rows, self.t_us = whole.object_labels, whole.t_us
        # Boxes without a size go, and halving can flatten others: move the frames' first rows by the number of boxes
        # lost before them.
        kept_before = np.concatenate(([0], np.cumsum(keep.numpy())))
        self.first_row = kept_before[self.first_row].astype(np.int64)
        counts = np.diff(self.first_row)
        self._row_frame: Int64Array = np.repeat(np.arange(len(counts)), counts)

    @property
    def name(self) -> str:
        """Name of the sequence's folder."""
        return self.paths.name

    @cached_property
    def num_frames(self) -> int:
        """Number of frames T in the file."""
        return len(self.reader)

    @property
    def num_frame_times(self) -> int:
        """Number of frames as their times have it; the frames themselves need not be readable."""
        return len(load_npy(self.paths.frame_timestamps))

    @property
    def num_labelled(self) -> int:
        """Number of labelled frames F, hidden ones included."""
        return len(self.repr_idx)

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """Bool [F]: labelled frames whose labels may be used."""
        return ~self.hidden

    def hide(self, keep: Int64Array) -> None:
        """Hide the labels of all labelled frames but those in ``keep`` (indices into the labelled frames)."""
        self.hidden = np.ones(self.num_labelled, dtype=bool)
        self.hidden[keep] = False

    def frames_between(self, start: int, stop: int) -> slice:
        """Labelled frames whose representation index lies in [start, stop)."""
        first, last = np.searchsorted(self.repr_idx, (start, stop))
        return slice(int(first), int(last))

    def labels_between(self, start: int, stop: int, reverse: bool, offset: int) -> LaneLabels:
        """Labels of the chunk of frames [start, stop).

        Args:
            start: first frame.
            stop: the one after the last.
            reverse: position p is frame ``stop - 1 - p``, which takes the label of that frame + ``offset``;
                otherwise position p is frame ``start + p`` with its own label.
            offset: only used when reversed.
        """
        shift = offset if reverse else 0
        frames = self.frames_between(start + shift, stop + shift)
        rows = slice(int(self.first_row[frames.start]), int(self.first_row[frames.stop]))
        frame_of_row = self._row_frame[rows]
        position = self.repr_idx[frames] - start
        if reverse:
            position = stop - 1 + shift - self.repr_idx[frames]
        row_position = position[frame_of_row - frames.start]
        order = np.argsort(row_position, kind="stable")
        frame_order = np.argsort(position, kind="stable")
        picked = torch.from_numpy(order + rows.start)
        return LaneLabels(
            rows=self.rows[picked],
            t_us=self.t_us[picked],
            position=torch.from_numpy(row_position[order]),
            hidden=torch.from_numpy(self.hidden[frame_of_row][order]),
            frame_position=torch.from_numpy(position[frame_order]),
            frame_hidden=torch.from_numpy(self.hidden[frames][frame_order]),
        )

    def latest_rows(self, start: int, stop: int, reverse: bool, offset: int) -> Tensor:
        """Visible boxes [n, 8] of the latest labelled frame (in playing order) of [start, stop) that has any."""
        labels = self.labels_between(start, stop, reverse, offset)
        visible = ~labels.hidden
        if not bool(visible.any()):
            return labels.rows[:0]
        last = labels.position[visible].max()
        return labels.rows[visible & (labels.position == last)]


def _usable(stored: StoredLabels, paths: SequencePaths) -> npt.NDArray[np.bool_]:
    """Which boxes are finite numbers and have a size, bool [N]; others are told.

    Raises:
        UserError: there are boxes, and none is.
    """
    usable = usable_boxes(stored.boxes)
    if usable.all():
        return usable
    got = f"{np.count_nonzero(~usable)} of {len(usable)} boxes without, the first is box {int(np.argmin(usable))}"
    if not usable.any():
        raise UserError(
            expected="boxes that are finite numbers and have a size",
            got=got,
            where=str(paths.labels_npz),
            fix="correct the boxes at their source and preprocess the sequence again, or leave the sequence out",
        )
    log.warning("%s: boxes must be finite numbers and have a size; %s: left out", paths.labels_npz, got)
    return usable


def boxes_per_class(sequence: EventSequence, num_classes: int) -> Int64Array:
    """Visible boxes of each labelled frame and class, int64 [F, num_classes]; other class ids do not count."""
    counts = np.zeros((sequence.num_labelled, num_classes), dtype=np.int64)
    frame = np.repeat(np.arange(sequence.num_labelled), np.diff(sequence.first_row))
    class_id = sequence.rows[:, Label.CLASS_ID].numpy().astype(np.int64)
    wanted = (class_id < num_classes) & sequence.visible[frame]
    np.add.at(counts, (frame[wanted], class_id[wanted]), 1)
    return counts
