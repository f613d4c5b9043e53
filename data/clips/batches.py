"""Batches of clips: what the loader hands to the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.clips.files import SPIKES, ClipSequence
from data.clips.plan import Clip, ClipBatchSpec


class ClipBatch(TypedDict):
    """B clips of T frames. Only the first three move to the device."""

    blurred: Tensor
    """uint8 [B, T, 3, H, W]."""
    sharp: Tensor
    """uint8 [B, T, 3, H, W]."""
    spikes: Tensor
    """uint8 [B, T, K, H, W]."""
    counted: Tensor
    """bool [B, T]: whether a frame counts in an evaluation."""
    path: list[str]
    """File of each clip."""
    ev_idx: Tensor
    """int64 [T, B], frame number in the file."""
    is_reversed: Tensor
    """bool [B]: none is."""
    worker_id: int
    """0: nothing is remembered from batch to batch."""
    position: tuple[int, int]
    """Epoch and index of the batch in the plan."""
    unreadable: list[tuple[str, int, int]]
    """None: what cannot be read is an error."""


class ClipDataset(Dataset[ClipBatch]):
    """Carries a plan out.

    Args:
        sequences: that the plan numbers.
        frames: of a clip; shorter sequences give all theirs.
    """

    def __init__(self, sequences: Sequence[ClipSequence], frames: int) -> None:
        self.sequences, self.frames = sequences, frames

    def __getitem__(self, spec: ClipBatchSpec) -> ClipBatch:
        """A batch.

        Raises:
            UserError: a file that cannot be read.
        """
        clips = [self._read(clip) for clip in spec.clips]
        starts = torch.tensor([clip.start for clip in spec.clips])
        length = len(clips[0][SPIKES])
        time = torch.arange(length)[:, None]
        return {
            "blurred": _stacked(clips, "blurred"),
            "sharp": _stacked(clips, "sharp"),
            "spikes": _stacked(clips, SPIKES),
            "counted": torch.tensor([clip.counted for clip in spec.clips])[:, None] <= time.T,
            "path": [str(self.sequences[clip.sequence].path) for clip in spec.clips],
            "ev_idx": time + starts,
            "is_reversed": torch.zeros(len(clips), dtype=torch.bool),
            "worker_id": 0,
            "position": (spec.epoch, spec.index),
            "unreadable": [],
        }

    def _read(self, clip: Clip) -> dict[str, npt.NDArray[Any]]:
        """Frames channels first, cut and mirrored."""
        window = (slice(None), slice(None))
        if clip.side is not None:
            window = (slice(clip.top, clip.top + clip.side), slice(clip.left, clip.left + clip.side))
        parts = self.sequences[clip.sequence].read(clip.start, clip.start + self.frames, window)
        first = {name: part if name == SPIKES else part.transpose(0, 3, 1, 2) for name, part in parts.items()}
        return {name: mirrored(part, clip.mirrored) for name, part in first.items()}


def mirrored(frames: npt.NDArray[Any], how: tuple[bool, bool, bool]) -> npt.NDArray[Any]:
    """Frames [..., H, W] with columns reversed, rows reversed, and rows and columns exchanged, as asked for."""
    columns, rows, exchanged = how
    frames = frames[..., ::-1] if columns else frames
    frames = frames[..., ::-1, :] if rows else frames
    return frames.swapaxes(-1, -2) if exchanged else frames


def _stacked(clips: Sequence[dict[str, npt.NDArray[Any]]], name: str) -> Tensor:
    return torch.from_numpy(np.stack([np.ascontiguousarray(clip[name]) for clip in clips]))
