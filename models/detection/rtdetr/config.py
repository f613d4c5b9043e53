"""Checked settings of RT-DETR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.checks import require, require_share
from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.detection.rnndet.build import backbone_config
from models.detection.yolox.config import FpnConfig
from utils.settings import number, settings_of, whole


@dataclass(frozen=True, kw_only=True)
class SetHeadConfig:
    """``model.rtdetr`` of the config, where each key is explained.

    Raises:
        UserError: a value that cannot be.
    """

    dim: int
    heads: int = 8
    feedforward: int = 4
    encoder_layers: int = 1
    decoder_layers: int = 3
    points: int = 4
    queries: int = 100
    dropout: float = 0.0
    choice_copies: int = 4
    denoising: int = 100
    label_noise: float = 0.5
    box_noise: float = 1.0
    class_weight: float = 1.0
    l1_weight: float = 5.0
    giou_weight: float = 2.0

    def __post_init__(self) -> None:
        for name in ("dim", "heads", "feedforward", "decoder_layers", "points", "queries", "choice_copies"):
            whole(getattr(self, name), f"model.rtdetr.{name}")
        for name in ("encoder_layers", "denoising"):
            whole(getattr(self, name), f"model.rtdetr.{name}", 0)
        require_share(self.dropout, "model.rtdetr.dropout")
        number(self.label_noise, "model.rtdetr.label_noise", most=1)
        for name in ("box_noise", "class_weight", "l1_weight", "giou_weight"):
            number(getattr(self, name), f"model.rtdetr.{name}")
        fits = self.dim % self.heads == 0 and self.dim % 4 == 0
        expected = f"a multiple of 4 and of {self.heads} heads"
        require(fits, "model.rtdetr.dim", expected, self.dim, "give a number such as 128")


@dataclass(frozen=True, kw_only=True)
class RtdetrConfig:
    """The whole detector.

    Args:
        num_classes: number of classes.
        backbone: recurrent transformer or any timm network.
        fpn: depth of the fusion of scales, and the stages that it reads.
        head: encoder, decoder and losses.
    """

    num_classes: int
    backbone: BackboneConfig | TimmBackboneConfig
    fpn: FpnConfig = field(default_factory=FpnConfig)
    head: SetHeadConfig

    def __post_init__(self) -> None:
        whole(self.num_classes, "model.head.num_classes")

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> RtdetrConfig:
        """From the ``model`` section; keys of other families beside these do nothing."""
        backbone = backbone_config(section["backbone"])
        given = section["rtdetr"].get("dim")
        dim = backbone.stage_dims[2] if given is None else given  # of the middle scale
        return cls(
            num_classes=section["head"]["num_classes"],
            backbone=backbone,
            fpn=FpnConfig(**section["fpn"]),
            head=settings_of(SetHeadConfig, {"model": section}, "model.rtdetr", dim=dim),
        )
