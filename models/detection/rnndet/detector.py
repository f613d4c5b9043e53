"""The detector: recurrent backbone, feature pyramid, YOLOX head."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.detection.interface import Detector, FrameBoxes, count_in_words
from models.detection.recurrent_backbone.base import BackboneFeatures, BaseDetector
from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.recurrent_backbone.maxvit_rnn import RNNDetector
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector
from models.detection.rnndet.config import DetectorConfig
from models.detection.rnndet.frozen import freeze
from models.detection.yolox.head import YOLOXHead
from models.detection.yolox.pafpn import YOLOPAFPN
from models.detection.yolox.postprocess import postprocess
from models.detection.yolox.targets import padded_targets
from models.half_weights import CastTogether
from models.rnn_states import States
from models.transfer import to_device
from utils.padding import pad_bottom_right, pad_channels_last, padding_mask


def build_backbone(cfg: BackboneConfig | TimmBackboneConfig) -> BaseDetector:
    """Recurrent backbone of the kind that its settings belong to."""
    return TimmRnnDetector(cfg) if isinstance(cfg, TimmBackboneConfig) else RNNDetector(cfg)


class YoloXDetector(Detector):
    """Object detector for sequences of event frames (RVT with a YOLOX head).

    Args:
        cfg: settings of the parts.
        backbone: another backbone in place of the one that ``cfg.backbone`` describes.
    """

    family: ClassVar[str] = "rnndet"
    weighs_frames: ClassVar[bool] = True

    def __init__(self, cfg: DetectorConfig, backbone: BaseDetector | None = None) -> None:
        super().__init__()
        self.cfg = cfg
        self.input_channels = cfg.backbone.input_channels
        self.backbone = build_backbone(cfg.backbone) if backbone is None else backbone
        dims = self.backbone.get_stage_dims(cfg.fpn.in_stages)
        self.fpn = YOLOPAFPN(cfg.fpn, dims)
        self.yolox_head = YOLOXHead(cfg.head, dims, self.backbone.get_strides(cfg.fpn.in_stages))
        self._calls = [CastTogether(self.fpn), CastTogether(self.yolox_head)]

    def forward_backbone(
        self, x: Tensor, previous_states: Any | None = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, Any]:
        """One frame per lane: ``x`` [B, C, H, W] -> features by stage [B, C, h, w] and states."""
        return self.backbone(x, previous_states, token_mask)

    def forward_sequence(
        self, x: Tensor, previous_states: Any | None = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, Any]:
        """A sequence per lane: ``x`` [L, B, C, H, W] -> features by stage [L, B, C, h, w] and last states."""
        return self.backbone.forward_sequence(x, previous_states, token_mask)

    def forward_detect(
        self, features: BackboneFeatures, targets: Tensor | None = None, weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Pyramid and head on any selection of frames.

        Args:
            features: by stage number [N, C, h, w].
            targets: [N, M, 7] rows class_id, cx, cy, w, h, objectness, class_confidence; zero rows are padding.
            weight: [N], what each frame counts in the losses; None for equal.

        Returns:
            predictions [N, A, 5 + classes] (cx, cy, w, h in pixels, objectness, class probabilities) and, when
            targets are given, the losses.
        """
        pyramid, head = self._calls
        return head(pyramid(features), targets, weight)

    def forward(
        self,
        x: Tensor,
        previous_states: Any | None = None,
        retrieve_detections: bool = True,
        targets: Tensor | None = None,
    ) -> tuple[Tensor | None, dict[str, Tensor] | None, Any]:
        """One frame per lane through all parts.

        Args:
            x: frames [B, C, H, W], padded.
            previous_states: states after the previous frame, None for zeros.
            retrieve_detections: False runs the backbone alone.
            targets: as in :meth:`forward_detect`.

        Returns:
            predictions or None, losses or None, and the new states.
        """
        features, states = self.forward_backbone(x, previous_states)
        if not retrieve_detections:
            return None, None, states
        predictions, losses = self.forward_detect(features, targets)
        return predictions, losses, states

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
        """Pick frames from features [L, B, C, h, w] by index t·B + b, giving [n, C, h, w] of the pyramid's stages."""
        return {stage: features[stage].flatten(0, 1).index_select(0, indices) for stage in self.cfg.fpn.in_stages}

    def losses(self, features: BackboneFeatures, boxes: FrameBoxes) -> dict[str, Tensor]:
        """Losses of the YOLOX head, see :func:`models.detection.yolox.losses.detection_losses`."""
        device = next(iter(features.values())).device
        weight = None if boxes.weight is None else to_device(boxes.weight, device)
        _, losses = self.forward_detect(features, to_device(padded_targets(boxes), device), weight)
        assert losses is not None, "the head returns losses when it gets targets"
        return losses

    def predictions(self, features: BackboneFeatures) -> Tensor:
        """Predictions [n, A, 5 + classes]: cx, cy, w, h in pixels, objectness, class probabilities."""
        return self.forward_detect(features)[0]

    def boxes(self, predictions: Tensor, confidence: float, nms: float) -> list[Tensor]:
        """Detections [n, 7] of each frame after thresholds and NMS."""
        return postprocess(predictions.float(), self.cfg.head.num_classes, confidence, nms)

    def step(self, frame: Tensor, states: States) -> tuple[BackboneFeatures, States]:
        """One frame of each lane [B, C, H, W]; integer frames are cast to the type of the weights."""
        if not frame.is_floating_point() and not _on_cpu(frame):  # on a CPU the backbone does, in fewer passes
            frame = frame.to(next(self.parameters()).dtype)
        return self.forward_backbone(self._padded(frame), states, self._padding_mask(frame))

    def freeze(self, dtype: torch.dtype) -> bool:
        """Fold norms and factors, order weights; networks of timm keep float32 weights, and autocast."""
        alone = isinstance(self.backbone, RNNDetector)
        freeze(self, dtype if alone else None)
        return alone or dtype == torch.float32

    def _padded(self, frames: Tensor) -> Tensor:
        pad = pad_channels_last if _on_cpu(frames) else pad_bottom_right
        return pad(frames, self.cfg.backbone.in_res_hw)

    def _padding_mask(self, frames: Tensor) -> Tensor | None:
        if not self.cfg.backbone.enable_masking:
            return None
        return padding_mask((frames.shape[-2], frames.shape[-1]), self.cfg.backbone.in_res_hw, frames.device)

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Stages by number, what else the backbone has, pyramid and head."""
        backbone: dict[str, nn.Module] = {}
        for name, part in self.backbone.named_children():
            stages = isinstance(part, nn.ModuleList)
            backbone |= {f"stage{i}": stage for i, stage in enumerate(part, 1)} if stages else {name: part}
        return {**backbone, "fpn": self.fpn, "head": self.yolox_head}

    def size_in_words(self) -> str:
        """Parameters of the whole, of backbone, pyramid and head."""
        return count_in_words(self, {"backbone": self.backbone, "pyramid": self.fpn, "head": self.yolox_head})

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
