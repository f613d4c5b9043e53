"""From the composed configuration (plain containers) to the checked settings of each part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from models.detection.config import DetectorConfig
from models.detection.recurrent_backbone.config import BackboneConfig, CompileConfig
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector
from models.detection.yolox.config import FpnConfig, HeadConfig
from models.detection.yolox_extension.models.detector import YoloXDetector
from models.layers.config import AttentionConfig, LstmConfig
from modules.utils.weight_files import load_pretrained
from utils.errors import UserError
from utils.evaluation.prophesee import PropheseeEvaluator

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


def start_from_pretrained(detector: YoloXDetector, config: Mapping[str, Any]) -> None:
    """Start a timm backbone from ``model.backbone.pretrained_file``, if one is given.

    Nothing happens when the run takes its weights from elsewhere (``checkpoint`` or ``weight``).

    Raises:
        UserError: the file is missing or does not fit the network.
    """
    path = config["model"]["backbone"].get("pretrained_file")
    if not path or config.get("checkpoint") or config.get("weight"):
        return
    assert isinstance(detector.backbone, TimmRnnDetector), "only timm backbones have the key"
    load_pretrained(detector.backbone, path)


def describe_size(detector: YoloXDetector) -> str:
    """Parameters of the parts in words.

    >>> from models.detection.recurrent_backbone.config import BackboneConfig
    >>> from models.detection.yolox.config import HeadConfig
    >>> backbone = BackboneConfig(embed_dim=32, in_res_hw=(64, 64), partition_size=(2, 2))
    >>> config = DetectorConfig(backbone=backbone, fpn=FpnConfig(depth=0.33), head=HeadConfig(num_classes=2))
    >>> describe_size(YoloXDetector(config))
    '4.41 M parameters: backbone 3.22, pyramid 0.71, head 0.47'
    """
    parts = (detector, detector.backbone, detector.fpn, detector.yolox_head)
    total, backbone, pyramid, head = (sum(p.numel() for p in part.parameters()) / 1e6 for part in parts)
    return f"{total:.2f} M parameters: backbone {backbone:.2f}, pyramid {pyramid:.2f}, head {head:.2f}"


def evaluator_from_config(config: Mapping[str, Any]) -> PropheseeEvaluator:
    """Evaluator with the dataset's classes, sizes and filters."""
    dataset = config["dataset"]
    height, width = dataset["sensor_hw"]
    return PropheseeEvaluator(
        classes=list(dataset["classes"]),
        height=int(height),
        width=int(width),
        min_diag=float(dataset["evaluation"]["min_diag"]),
        min_side=float(dataset["evaluation"]["min_side"]),
        skip_us=int(1000 * dataset["evaluation"]["skip_ms"]),
        downsampled=bool(dataset["downsample_by_factor_2"]),
        score=config["evaluation"]["score"],
    )
