"""What detectors on a recurrent backbone share: frames padded for it, features by stage, its states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.detection.interface import Detector
from models.detection.recurrent_backbone.base import BackboneFeatures, BaseDetector
from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.rnn_states import States
from utils.padding import pad_bottom_right, pad_channels_last, padding_mask


class RecurrentDetector(Detector):
    """A backbone with memory; subclasses say what is found in its features.

    Args:
        cfg: settings of the backbone.
        backbone: the network.
        in_stages: numbers of the stages whose features are needed.
    """

    def __init__(
        self, cfg: BackboneConfig | TimmBackboneConfig, backbone: BaseDetector, in_stages: tuple[int, ...]
    ) -> None:
        super().__init__()
        self._backbone_cfg, self.in_stages = cfg, in_stages
        self.input_channels = cfg.input_channels
        self.backbone = backbone

    def forward_backbone(
        self, x: Tensor, previous_states: States = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, States]:
        """One frame per lane: ``x`` [B, C, H, W] -> features by stage [B, C, h, w] and states."""
        return self.backbone(x, previous_states, token_mask)

    def forward_sequence(
        self, x: Tensor, previous_states: States = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, States]:
        """A sequence per lane: ``x`` [L, B, C, H, W] -> features by stage [L, B, C, h, w] and last states."""
        return self.backbone.forward_sequence(x, previous_states, token_mask)

    def prepare(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pad frames [..., C, H, W].

        Returns:
            [..., C, H', W'], integers as they are, which the backbone casts once, and others in float32; and the token
            mask [1, H', W'] (None unless the model masks padding).
        """
        padded = self._padded(inputs)
        return padded.float() if padded.is_floating_point() else padded, self._padding_mask(inputs)

    def features(self, inputs: tuple[Tensor, Tensor | None], states: States) -> tuple[BackboneFeatures, States]:
        """Backbone features of a sequence by stage [L, B, C, h, w], and the states after it."""
        frames, mask = inputs
        return self.forward_sequence(frames, states, mask)

    def select(self, features: BackboneFeatures, indices: Tensor) -> BackboneFeatures:
        """Pick frames from features [L, B, C, h, w] by index t·B + b, giving [n, C, h, w] of the stages needed."""
        return {stage: features[stage].flatten(0, 1).index_select(0, indices) for stage in self.in_stages}

    def step(self, frame: Tensor, states: States) -> tuple[BackboneFeatures, States]:
        """One frame of each lane [B, C, H, W]; integer frames are cast to the type of the weights."""
        if not frame.is_floating_point() and not _on_cpu(frame):  # on a CPU the backbone does, in fewer passes
            frame = frame.to(next(self.parameters()).dtype)
        return self.forward_backbone(self._padded(frame), states, self._padding_mask(frame))

    def _padded(self, frames: Tensor) -> Tensor:
        pad = pad_channels_last if _on_cpu(frames) else pad_bottom_right
        return pad(frames, self._backbone_cfg.in_res_hw)

    def _padding_mask(self, frames: Tensor) -> Tensor | None:
        if not self._backbone_cfg.enable_masking:
            return None
        return padding_mask((frames.shape[-2], frames.shape[-1]), self._backbone_cfg.in_res_hw, frames.device)

    @property
    def backbone_parts(self) -> dict[str, nn.Module]:
        """Stages by number, and what else the backbone has."""
        parts: dict[str, nn.Module] = {}
        for name, part in self.backbone.named_children():
            stages = isinstance(part, nn.ModuleList)
            parts |= {f"stage{i}": stage for i, stage in enumerate(part, 1)} if stages else {name: part}
        return parts

    def watched_states(self, states: States) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Hidden and cell states by stage, of states ``[(h, c), ...]``; stages with others are left out."""
        hidden, cell = {}, {}
        for number, state in enumerate(states or [], 1):
            if isinstance(state, list | tuple) and len(state) == 2 and all(isinstance(part, Tensor) for part in state):
                hidden[f"stage{number}"], cell[f"stage{number}"] = state
        return hidden, cell


def _on_cpu(frames: Tensor) -> bool:
    """Whether memory is laid out by hand; compilers and exporters choose it themselves."""
    return frames.device.type == "cpu" and not torch.compiler.is_compiling()
