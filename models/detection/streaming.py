"""A detector as a function of one frame and explicit states: for live use, compilation and export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.detection.interface import Detector
from models.rnn_states import States


class StreamingStep(nn.Module):
    """One frame and the states after the last one in; predictions and the new states out.

    Padding and the cast of integer frames happen inside, so that a caller hands over frames as they are made from
    events. States are a flat row of tensors; :attr:`state_names` names them.

    Args:
        detector: the network; used in evaluation mode.
        frame_hw: height and width of the frames before padding.
    """

    def __init__(self, detector: Detector, frame_hw: tuple[int, int]) -> None:
        super().__init__()
        self.detector = detector.eval()
        self.frame_hw = frame_hw
        with torch.no_grad():
            _, states = self.detector.step(self.zero_frame(1), None)
        self._layout = _layout(states)
        self._zero_states = [torch.zeros_like(state) for state in flatten_states(states)]

    @property
    def state_names(self) -> list[str]:
        """Names of the states in order, e.g. ``state_0_1``: stage 1's cell state (0 is the hidden state)."""
        return _names(self._layout, "state")

    def zero_frame(self, lanes: int) -> Tensor:
        """An empty frame [lanes, C, H, W], or what else the detector takes (``Detector.blank``)."""
        return self.detector.blank(lanes, self.frame_hw).to(next(self.detector.parameters()).device)

    def initial_states(self, lanes: int = 1) -> list[Tensor]:
        """States before the first frame: zeros [lanes, ...], in memory as those that follow lie."""
        weight = next(self.detector.parameters())
        return [torch.cat([state.to(weight)] * lanes) for state in self._zero_states]

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Detect on the next frame of every lane.

        Args:
            frame: [B, C, H, W], uint8, int8 or floating point, unpadded.
            states: as :meth:`initial_states` or the last call gave them, [B, ...] each.

        Returns:
            ``Detector.predictions`` [B, ...], then the new states.
        """
        features, new_states = self.detector.step(frame, _rebuild(self._layout, iter(states)))
        predictions = self.detector.predictions(features)
        # Under autocast states would change their type from the first step to the second.
        return predictions, *(new.to(old.dtype) for new, old in zip(flatten_states(new_states), states, strict=True))


def flatten_states(states: States) -> list[Tensor]:
    """Tensors of a nesting of lists, tuples, dicts and None, in order.

    >>> [int(x) for x in flatten_states([(torch.tensor(1), None), {"a": torch.tensor(2)}, torch.tensor(3)])]
    [1, 2, 3]
    """
    if states is None:
        return []
    if isinstance(states, Tensor):
        return [states]
    parts = states.values() if isinstance(states, Mapping) else states
    return [tensor for part in parts for tensor in flatten_states(part)]


def _layout(states: States) -> Any:
    """The nesting with True in place of tensors."""
    if states is None or isinstance(states, Tensor):
        return None if states is None else True
    if isinstance(states, Mapping):
        return {name: _layout(part) for name, part in states.items()}
    return type(states)(_layout(part) for part in states)


def _rebuild(layout: Any, tensors: Iterator[Tensor]) -> Any:
    if layout is None or layout is True:
        return next(tensors) if layout else None
    if isinstance(layout, Mapping):
        return {name: _rebuild(part, tensors) for name, part in layout.items()}
    return type(layout)(_rebuild(part, tensors) for part in layout)


def _names(layout: Any, prefix: str) -> list[str]:
    if layout is None or layout is True:
        return [prefix] if layout else []
    parts = layout.items() if isinstance(layout, Mapping) else enumerate(layout)
    return [name for index, part in parts for name in _names(part, f"{prefix}_{index}")]
