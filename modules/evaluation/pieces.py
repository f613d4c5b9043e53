"""Detecting in a chunk of frames piece by piece, where a processor's caches and memory gain by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from models.transfer import to_device

AT_ONCE = 1 << 26
"""Numbers in the frames of a piece: 46 frames of 20x240x304. Seven times as many take up to half as long again a frame
on a CPU, as nothing they are made into stays in its caches, and 2.5 times the memory; few do not fill its cores."""


class ChunkDetector(Protocol):
    """What detecting needs; ``modules.detection.Module`` is one."""

    @property
    def device(self) -> torch.device:
        """Where indices are to be sent."""
        ...

    def features(self, frames: Tensor, states: Any) -> tuple[Any, Any]:
        """Features of frames uint8 [L, B, C, H, W], and the new states."""
        ...

    def detect(self, features: Any, indices: Tensor) -> list[Tensor]:
        """Detections [n, 7] of the frames with index t·B + b."""
        ...


def pieces(frames: Tensor) -> tuple[Tensor, ...]:
    """Frames [L, B, ...] in parts [l, B, ...] of about one length, on a GPU in one.

    >>> [len(part) for part in pieces(torch.zeros(1, 1).expand(10, 1 << 24))]
    [4, 3, 3]
    """
    if frames.device.type != "cpu" or not len(frames):
        return (frames,)
    steps = max(AT_ONCE // max(frames[0].numel(), 1), 1)
    return frames.tensor_split(-(-len(frames) // steps))


def detect_in_pieces(
    detector: ChunkDetector, frames: Tensor, states: Any, picks: Sequence[int] | None = None
) -> tuple[list[Tensor], Any]:
    """Detect in some frames of a chunk; call it without gradients.

    Args:
        detector: in evaluation mode.
        frames: uint8 [L, B, C, H, W] on its device.
        states: of the lanes before the chunk, or None.
        picks: frames by t·B + b, grouped by t, which ascends; None are all.

    Returns:
        Detections [n, 7] of the picked frames, in their order, and the states behind the chunk.
    """
    lanes, first = frames.shape[1], 0
    detections: list[Tensor] = []
    for piece in pieces(frames):
        features, states = detector.features(piece, states)
        last = first + len(piece) * lanes
        if picks is None:
            indices = torch.arange(last - first, device=detector.device)
        else:
            indices = torch.tensor([pick - first for pick in picks if first <= pick < last], dtype=torch.int64)
            indices = to_device(indices, detector.device)
        if len(indices):
            detections += detector.detect(features, indices)
        first = last
    return detections, states
