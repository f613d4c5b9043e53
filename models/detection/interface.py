"""What every detector offers; training, evaluation, labelling, live use and export know no more of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.rnn_states import States

Features = Any
"""Whatever a detector remembers of frames between looking at them and finding boxes."""


@dataclass(frozen=True)
class FrameBoxes:
    """Boxes of some frames. They lie on the host, so that nothing waits for the device to know how many there are.

    Args:
        rows: float32 [N, 8], columns as in ``utils.boxes.LABEL_COLUMNS``, sorted by frame.
        frame: int64 [N], the frame of each box: 0 .. ``num_frames`` − 1, ascending.
        num_frames: number of frames; some may have no box.
        size_hw: height and width in pixels of the frames before padding.
        weight: float32 [num_frames], what a frame counts in the loss against others; None for equal.
    """

    rows: Tensor
    frame: Tensor
    num_frames: int
    size_hw: tuple[int, int]
    weight: Tensor | None = None


class Detector(nn.Module, ABC):
    """A network that finds boxes in frames of several streams (lanes) and may remember earlier frames of each.

    A state is any nesting of lists, tuples, dicts and None with tensors whose first dimension is the lane; None
    stands for the state before the first frame. Boxes and pixels are those of frames before padding.

    Attributes:
        family: name of its ``ModelSpec``.
        input_channels: channels of a frame.
        weighs_frames: whether :meth:`losses` heeds ``FrameBoxes.weight``; others are given none.
    """

    family: ClassVar[str]
    weighs_frames: ClassVar[bool] = False
    input_channels: int

    @property
    def keeps_states(self) -> bool:
        """Whether states go on from one recording into the next; else they begin anew."""
        return False

    @abstractmethod
    def prepare(self, inputs: Tensor) -> Any:
        """Whatever :meth:`features` takes, on the device of the frames.

        Args:
            inputs: frames [L, B, C, H, W], uint8, int8 or floating point, unpadded.

        Raises:
            UserError: frames that this network cannot take.
        """

    @abstractmethod
    def features(self, inputs: Any, states: States) -> tuple[Features, States]:
        """Look at a sequence of each lane.

        Args:
            inputs: of :meth:`prepare`.
            states: after the frame before, or None.

        Returns:
            features of all L·B frames and the states after the last one.
        """

    @abstractmethod
    def select(self, features: Features, indices: Tensor) -> Features:
        """Features of some frames, of :meth:`features`; ``indices`` int64 [n] are t·B + b, on the same device."""

    @abstractmethod
    def losses(self, features: Features, boxes: FrameBoxes) -> dict[str, Tensor]:
        """Losses of selected frames.

        Args:
            features: of :meth:`select`.
            boxes: of the same frames, in their order; perhaps none at all.

        Returns:
            scalars by name; ``loss`` is the one to be minimised and reaches every parameter.
        """

    @abstractmethod
    def predictions(self, features: Features) -> Tensor:
        """All that is found in selected frames [n, ...], before thresholds; the output of an exported network."""

    @abstractmethod
    def boxes(self, predictions: Tensor, confidence: float, nms: float) -> list[Tensor]:
        """Detections of :meth:`predictions`.

        Args:
            predictions: of n frames.
            confidence: least product of objectness and class confidence.
            nms: overlap (IoU) above which the weaker of two boxes of a class goes, where the detector needs that.

        Returns:
            for each frame float32 [n, 7]: x1, y1, x2, y2, objectness (1 without such an output), class confidence,
            class; best first.
        """

    def detections(self, features: Features, confidence: float, nms: float) -> list[Tensor]:
        """Detections [n, 7] of selected frames, see :meth:`boxes`."""
        return self.boxes(self.predictions(features), confidence, nms)

    def blank(self, lanes: int, size_hw: tuple[int, int]) -> Tensor:
        """What :meth:`step` takes of a window without any event, [lanes, ...], on the host."""
        return torch.zeros((lanes, self.input_channels, *size_hw), dtype=torch.uint8)

    def step(self, frame: Tensor, states: States) -> tuple[Features, States]:
        """One frame of each lane [B, C, H, W]: features as of :meth:`select`, and the new states."""
        features, states = self.features(self.prepare(frame.unsqueeze(0)), states)
        return self.select(features, torch.arange(len(frame), device=frame.device)), states

    def freeze(self, dtype: torch.dtype) -> bool:
        """Make the network, on its device and in evaluation mode, ready for detecting alone.

        Args:
            dtype: in which it is to compute.

        Returns:
            Whether it computes in this type by itself from now on, without autocast.
        """
        return dtype == torch.float32

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Parts whose gradients are watched, by the name they are told with."""
        return dict(self.named_children())

    def size_in_words(self) -> str:
        """Parameters of the whole and of its parts."""
        return count_in_words(self, self.parts)

    def watched_states(self, states: States) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Hidden and cell states that are watched in training, by name; cells are warned of."""
        return {}, {}


def count_in_words(whole: nn.Module, parts: Mapping[str, nn.Module]) -> str:
    """Millions of parameters of a network and of its parts.

    >>> count_in_words(nn.Linear(1000, 100), {"a": nn.Linear(1000, 50)})
    '0.10 M parameters: a 0.05'
    """
    total, *counts = (sum(p.numel() for p in part.parameters()) / 1e6 for part in (whole, *parts.values()))
    told = ", ".join(f"{name} {count:.2f}" for name, count in zip(parts, counts, strict=True))
    return f"{total:.2f} M parameters: {told}"
