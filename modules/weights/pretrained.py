"""Start from weights of a pretrained backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector
from models.detection.rnndet.detector import YoloXDetector
from modules.weights.files import load_pretrained


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
