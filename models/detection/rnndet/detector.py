"""The detector: recurrent backbone, feature pyramid, YOLOX head."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from models.detection.recurrent_backbone.base import BackboneFeatures, BaseDetector
from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.recurrent_backbone.maxvit_rnn import RNNDetector
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector
from models.detection.rnndet.config import DetectorConfig
from models.detection.yolox.head import YOLOXHead
from models.detection.yolox.pafpn import YOLOPAFPN


def build_backbone(cfg: BackboneConfig | TimmBackboneConfig) -> BaseDetector:
    """Recurrent backbone of the kind that its settings belong to."""
    return TimmRnnDetector(cfg) if isinstance(cfg, TimmBackboneConfig) else RNNDetector(cfg)


class YoloXDetector(nn.Module):
    """Object detector for sequences of event frames (RVT with a YOLOX head).

    Args:
        cfg: settings of the parts.
        backbone: another backbone in place of the one that ``cfg.backbone`` describes.
    """

    def __init__(self, cfg: DetectorConfig, backbone: BaseDetector | None = None) -> None:
        super().__init__()
        self.cfg = cfg
        self.backbone = build_backbone(cfg.backbone) if backbone is None else backbone
        dims = self.backbone.get_stage_dims(cfg.fpn.in_stages)
        self.fpn = YOLOPAFPN(cfg.fpn, dims)
        self.yolox_head = YOLOXHead(cfg.head, dims, self.backbone.get_strides(cfg.fpn.in_stages))

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
        self, features: BackboneFeatures, targets: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Pyramid and head on any selection of frames.

        Args:
            features: by stage number [N, C, h, w].
            targets: [N, M, 7] rows class_id, cx, cy, w, h, objectness, class_confidence; zero rows are padding.

        Returns:
            predictions [N, A, 5 + classes] (cx, cy, w, h in pixels, objectness, class probabilities) and, when
            targets are given, the losses.
        """
        return self.yolox_head(self.fpn(features), targets)

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
