"""From the composed configuration (plain containers) to the checked settings of each part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector
from models.detection.rnndet.detector import YoloXDetector
from modules.utils.weight_files import load_pretrained
from utils.evaluation.prophesee import PropheseeEvaluator


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
