"""From the ``model`` section of a config to the settings of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from models.detection.recurrent_backbone.config import BackboneConfig, CompileConfig
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.detection.rnndet.config import DetectorConfig
from models.detection.yolox.config import FpnConfig, HeadConfig
from models.layers.config import AttentionConfig, LstmConfig
from utils.errors import UserError

MAXVIT = "MaxViTRNN"
TIMM = "timm"
_NOT_OF_THE_NETWORK = {"partition_split_32", "pretrained_file"}


def detector_config(model: Mapping[str, Any]) -> DetectorConfig:
    """Settings of the network from the ``model`` section.

    Raises:
        UserError: a value that the network cannot have, with the name of its key.
    """
    return DetectorConfig(
        backbone=backbone_config(model["backbone"]), fpn=FpnConfig(**model["fpn"]), head=HeadConfig(**model["head"])
    )


def backbone_config(settings: Mapping[str, Any]) -> BackboneConfig | TimmBackboneConfig:
    """Settings of the backbone that ``backbone.name`` chooses; ``MaxViTRNN`` when there is no such key.

    Raises:
        UserError: an unknown name, or a value that the backbone cannot have.
    """
    settings = {key: value for key, value in settings.items() if key not in _NOT_OF_THE_NETWORK}
    name = settings.pop("name", MAXVIT)
    if name == MAXVIT:
        settings["attention"] = AttentionConfig(**settings["attention"])
        settings["lstm"] = LstmConfig(**settings["lstm"])
        settings["compile"] = CompileConfig(**settings.get("compile", {}))
        return BackboneConfig(**settings)
    if name == TIMM:
        return TimmBackboneConfig(**_timm_settings(settings))
    raise UserError(
        expected=f"{MAXVIT} or {TIMM}",
        got=repr(name),
        where="model.backbone.name",
        fix=f"for other networks take {TIMM} and give backbone.timm_name, as config/model/rnndet-resnet50.yaml does",
    )


def _timm_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Keep what a timm backbone knows; the rest belongs to the transformer and must not be asked for."""
    settings = {**settings, "compile": settings.get("compile", {}).get("enable", False)}
    for key in ("enable_masking", "T_max_chrono_init", "plain_arithmetic", "compile"):
        if settings.get(key):
            raise UserError(
                expected=f"model.backbone.{key} off with backbone.name={TIMM}",
                got=repr(settings[key]),
                where=f"model.backbone.{key}",
                fix=f"only {MAXVIT} has it: leave the key out",
            )
    return {field.name: settings[field.name] for field in fields(TimmBackboneConfig) if field.name in settings}
