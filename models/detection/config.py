"""Checked settings of the detector and its three parts.

Plain frozen dataclasses: the model code knows no config framework. Every dataclass checks its fields when it is
made and raises :class:`utils.errors.UserError` with the name of the field.
"""

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
