"""The detector as a function of one frame and explicit states: for live use, compilation and export."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detection.rnndet.detector import YoloXDetector


class StreamingStep(nn.Module):
    """One frame and the states after the last one in; predictions and the new states out.

    Padding and the cast of integer frames happen inside, so that a caller hands over frames as they are made from
    events. States are a flat row of tensors; :attr:`state_names` names them.

    Args:
        detector: the network; used in evaluation mode.
        frame_hw: height and width of the frames before padding, at most ``backbone.in_res_hw``.
    """

    def __init__(self, detector: YoloXDetector, frame_hw: tuple[int, int]) -> None:
        super().__init__()
        self.detector = detector.eval()
        self.frame_hw = frame_hw
        height, width = detector.cfg.backbone.in_res_hw
        self.padding = (0, width - frame_hw[1], 0, height - frame_hw[0])
        mask = None
        if detector.cfg.backbone.enable_masking:
            mask = torch.ones((1, height, width), dtype=torch.bool)
            mask[:, : frame_hw[0], : frame_hw[1]] = False
        self.token_mask: Tensor | None
        self.register_buffer("token_mask", mask, persistent=False)
        with torch.no_grad():
            states = self._backbone(self.zero_frame(1), None)[1]
        self._layout = _layout(states)
        self._state_shapes = [tuple(state.shape[1:]) for state in flatten_states(states)]

    @property
    def state_names(self) -> list[str]:
        """Names of the states in order, e.g. ``state_0_1``: stage 1's cell state (0 is the hidden state)."""
        return _names(self._layout, "state")

    def zero_frame(self, lanes: int) -> Tensor:
        """An empty frame uint8 [lanes, C, H, W]."""
        device = next(self.detector.parameters()).device
        channels = self.detector.cfg.backbone.input_channels
        return torch.zeros((lanes, channels, *self.frame_hw), dtype=torch.uint8, device=device)

    def initial_states(self, lanes: int = 1) -> list[Tensor]:
        """States before the first frame: zeros [lanes, C, h, w]."""
        weight = next(self.detector.parameters())
        return [weight.new_zeros((lanes, *shape)) for shape in self._state_shapes]

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Detect on the next frame of every lane.

        Args:
            frame: [B, C, H, W], uint8, int8 or floating point, unpadded.
            states: as :meth:`initial_states` or the last call gave them, [B, C, h, w] each.

        Returns:
            predictions [B, A, 5 + classes] (cx, cy, w, h in pixels, objectness, class probabilities), then the new
            states.
        """
        features, new_states = self._backbone(frame, _rebuild(self._layout, iter(states)))
        predictions, _ = self.detector.forward_detect(features)
        # Under autocast states would change their type from the first step to the second.
        return predictions, *(new.to(old.dtype) for new, old in zip(flatten_states(new_states), states, strict=True))

    def _backbone(self, frame: Tensor, states: Any) -> tuple[dict[int, Tensor], Any]:
        if not frame.is_floating_point():
            frame = frame.to(next(self.detector.parameters()).dtype)
        return self.detector.forward_backbone(F.pad(frame, self.padding), states, self.token_mask)


def flatten_states(states: Any) -> list[Tensor]:
    """Tensors of a nesting of lists and tuples, in order.

    >>> [int(x) for x in flatten_states([(torch.tensor(1), torch.tensor(2)), torch.tensor(3)])]
    [1, 2, 3]
    """
    if isinstance(states, Tensor):
        return [states]
    return [tensor for part in states for tensor in flatten_states(part)]


def _layout(states: Any) -> Any:
    """The nesting with None in place of tensors."""
    if isinstance(states, Tensor):
        return None
    return type(states)(_layout(part) for part in states)


def _rebuild(layout: Any, tensors: Any) -> Any:
    if layout is None:
        return next(tensors)
    return type(layout)(_rebuild(part, tensors) for part in layout)


def _names(layout: Any, prefix: str) -> list[str]:
    if layout is None:
        return [prefix]
    return [name for index, part in enumerate(layout) for name in _names(part, f"{prefix}_{index}")]
