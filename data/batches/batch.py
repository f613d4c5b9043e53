"""A batch: what the loader hands to the model."""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor

from data.labels.batched_labels import BatchedLabels
from data.payloads.base import Inputs


class Batch(TypedDict):
    """What the model gets; L timesteps, B lanes. Only ``inputs`` move to the device."""

    inputs: Inputs
    """What the network sees, empty where padded (of frames: ``data.payloads.frames.FrameInputs``)."""
    labels: BatchedLabels
    """Labels one may use."""
    skipped_labels: BatchedLabels
    """Real labels hidden by weak or semi supervision, for measuring only."""
    is_first: Tensor
    """bool [B]."""
    is_last: Tensor
    """bool [B]."""
    is_reversed: Tensor
    """bool [B]."""
    is_padded: Tensor
    """bool [L, B]."""
    ev_idx: Tensor
    """int64 [L, B], frame number in the file, -1 where padded."""
    path: list[str]
    """Sequence folder of each lane, empty for padding lanes."""
    worker_id: int
    """Stream group (see ``BatchSpec``)."""
    unlabelled: int
    """So many lanes, the last ones, are of recordings whose labels are hidden."""
    position: tuple[int, int]
    """Epoch and index of the batch in the plan."""
    unreadable: list[tuple[str, int, int]]
    """Frame file, first frame and last + 1 of what could not be read and was left out (its lane is padding)."""
