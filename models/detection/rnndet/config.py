"""Checked settings of the whole detector."""

from __future__ import annotations

from dataclasses import dataclass

from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.detection.yolox.config import FpnConfig, HeadConfig


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """The whole detector: backbone (recurrent transformer or any timm network), feature pyramid and head."""

    backbone: BackboneConfig | TimmBackboneConfig
    fpn: FpnConfig
    head: HeadConfig
