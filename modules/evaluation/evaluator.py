"""The evaluator that a config describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.evaluation.prophesee import PropheseeEvaluator


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
        pooled=bool(config["evaluation"].get("pooled", False)),
    )
