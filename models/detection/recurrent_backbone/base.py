"""What every recurrent backbone offers to the detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

BackboneFeatures = dict[int, Tensor]
"""Features by stage number (1 is the finest): [B, C, h, w] of one step or [L, B, C, h, w] of a sequence."""


def frame_dtype(frames: Tensor, weight: Tensor) -> torch.dtype:
    """What frames are cast to: integers to the weights' type, or at once to that of autocast on a GPU.

    Counts up to 255 are exact in every type, so that it makes no difference to cast them twice.
    """
    if frames.is_floating_point():
        return frames.dtype
    on_gpu = frames.device.type == "cuda" and torch.is_autocast_enabled("cuda")
    return torch.get_autocast_dtype("cuda") if on_gpu else weight.dtype


class BaseDetector(nn.Module, ABC):
    """A network that carries a state from frame to frame and gives features at several strides.

    Subclasses define :meth:`forward` for one step; :meth:`forward_sequence` loops over it unless a faster way is
    known. A state may be any nesting of lists, tuples and dicts of tensors whose first dimension is the batch.
    """

    @abstractmethod
    def get_stage_dims(self, stages: tuple[int, ...]) -> tuple[int, ...]:
        """Channels of the given stages (numbers from 1)."""

    @abstractmethod
    def get_strides(self, stages: tuple[int, ...]) -> tuple[int, ...]:
        """Strides in input pixels of the given stages (numbers from 1)."""

    @abstractmethod
    def forward(
        self, x: Tensor, prev_states: Any | None = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, Any]:
        """One frame per lane.

        Args:
            x: frames [B, C, H, W], padded.
            prev_states: state after the previous frame, None for zeros.
            token_mask: bool [B or 1, H, W], True at pixels without data; None for nowhere.

        Returns:
            features by stage [B, C, h, w] and the new state.
        """

    def forward_sequence(
        self, x: Tensor, prev_states: Any | None = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, Any]:
        """A sequence of frames per lane; the same numbers as calling :meth:`forward` L times.

        Args:
            x: frames [L, B, C, H, W], padded.
            prev_states: state before the first frame, None for zeros.
            token_mask: bool, broadcastable to [L, B, H, W], or None.

        Returns:
            features by stage [L, B, C, h, w] and the state after the last frame.
        """
        steps: list[BackboneFeatures] = []
        for t, frame in enumerate(x):
            features, prev_states = self(frame, prev_states, None if token_mask is None else token_mask[t])
            steps.append(features)
        return {stage: torch.stack([step[stage] for step in steps]) for stage in steps[0]}, prev_states
