"""RT-DETR on the recurrent backbone."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.detection.interface import FrameBoxes, count_in_words
from models.detection.recurrent_backbone.base import BackboneFeatures
from models.detection.recurrent_backbone.detector import RecurrentDetector
from models.detection.rnndet.detector import build_backbone
from models.detection.rnndet.frozen import freeze
from models.detection.rtdetr.config import RtdetrConfig
from models.detection.rtdetr.decoder import Decoder
from models.detection.rtdetr.denoising import noisy_queries
from models.detection.rtdetr.encoder import HybridEncoder
from models.detection.rtdetr.losses import detection_losses
from models.detection.sets.boxes import corners, wanted_of
from models.detection.sets.detections import found
from models.half_weights import CastTogether


class RtdetrDetector(RecurrentDetector):
    """Recurrent backbone, hybrid encoder, decoder of chosen queries; nothing is suppressed.

    Args:
        cfg: settings of the parts.
    """

    family: ClassVar[str] = "rtdetr"
    weighs_frames: ClassVar[bool] = True

    def __init__(self, cfg: RtdetrConfig) -> None:
        super().__init__(cfg.backbone, build_backbone(cfg.backbone), cfg.fpn.in_stages)
        self.cfg = cfg
        self.encoder = HybridEncoder(cfg, self.backbone.get_stage_dims(cfg.fpn.in_stages))
        self.decoder = Decoder(cfg)
        self.labels = nn.Embedding(cfg.num_classes, cfg.head.dim)  # of denoised queries
        self._calls = [CastTogether(self.encoder)]

    def losses(self, features: BackboneFeatures, boxes: FrameBoxes) -> dict[str, Tensor]:
        """Losses of selected frames, see :func:`models.detection.rtdetr.losses.detection_losses`."""
        device = next(iter(features.values())).device
        wanted = wanted_of(boxes, self.cfg.num_classes, self.cfg.backbone.in_res_hw, device)
        noisy = noisy_queries(wanted, self.labels, self.cfg.head) if self.cfg.head.denoising else None
        said = self.decoder(*self._calls[0](features), noisy)
        losses = detection_losses(said, wanted, self.cfg.head, 0 if noisy is None else noisy.groups)
        if noisy is None:
            losses["loss"] = losses["loss"] + 0 * self.labels.weight.sum()  # every weight is reached
        return losses

    def predictions(self, features: BackboneFeatures) -> Tensor:
        """Predictions [n, Q, 4 + classes]: corners in pixels, class probabilities."""
        said = self.decoder(*self._calls[0](features))
        height, width = self.cfg.backbone.in_res_hw
        place = corners(said.box[-1]) * said.box.new_tensor((width, height) * 2)
        return torch.cat((place, said.logits[-1].sigmoid()), dim=-1)

    def boxes(self, predictions: Tensor, confidence: float, nms: float) -> list[Tensor]:
        """Detections [n, 7] of each frame, one class a query; nothing is suppressed."""
        return found(predictions, confidence)

    def freeze(self, dtype: torch.dtype) -> bool:
        """Fold norms and factors, order weights; they stay float32."""
        freeze(self, None)
        return dtype == torch.float32

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Stages by number, what else the backbone has, encoder and decoder."""
        return {**self.backbone_parts, "encoder": self.encoder, "decoder": self.decoder}

    def size_in_words(self) -> str:
        """Parameters of the whole, of backbone, encoder and decoder."""
        return count_in_words(self, {"backbone": self.backbone, "encoder": self.encoder, "decoder": self.decoder})
