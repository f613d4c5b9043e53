"""The detector: recurrent backbone, feature pyramid, YOLOX head."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.detection.interface import FrameBoxes, count_in_words
from models.detection.recurrent_backbone.base import BackboneFeatures, BaseDetector
from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.recurrent_backbone.detector import RecurrentDetector
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
from models.transfer import to_device


def build_backbone(cfg: BackboneConfig | TimmBackboneConfig) -> BaseDetector:
    """Recurrent backbone of the kind that its settings belong to."""
    return TimmRnnDetector(cfg) if isinstance(cfg, TimmBackboneConfig) else RNNDetector(cfg)


class YoloXDetector(RecurrentDetector):
    """Object detector for sequences of event frames (RVT with a YOLOX head).

    Args:
        cfg: settings of the parts.
        backbone: another backbone in place of the one that ``cfg.backbone`` describes.
    """

    family: ClassVar[str] = "rnndet"
    weighs_frames: ClassVar[bool] = True

    def __init__(self, cfg: DetectorConfig, backbone: BaseDetector | None = None) -> None:
        own = build_backbone(cfg.backbone) if backbone is None else backbone
        super().__init__(cfg.backbone, own, cfg.fpn.in_stages)
        self.cfg = cfg
        dims = self.backbone.get_stage_dims(cfg.fpn.in_stages)
        self.fpn = YOLOPAFPN(cfg.fpn, dims)
        self.yolox_head = YOLOXHead(cfg.head, dims, self.backbone.get_strides(cfg.fpn.in_stages))
        self._calls = [CastTogether(self.fpn), CastTogether(self.yolox_head)]

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

    def freeze(self, dtype: torch.dtype) -> bool:
        """Fold norms and factors, order weights; networks of timm keep float32 weights, and autocast."""
        alone = isinstance(self.backbone, RNNDetector)
        freeze(self, dtype if alone else None)
        return alone or dtype == torch.float32

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Stages by number, what else the backbone has, pyramid and head."""
        return {**self.backbone_parts, "fpn": self.fpn, "head": self.yolox_head}

    def size_in_words(self) -> str:
        """Parameters of the whole, of backbone, pyramid and head."""
        return count_in_words(self, {"backbone": self.backbone, "pyramid": self.fpn, "head": self.yolox_head})
