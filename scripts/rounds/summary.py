"""The table and ``summary.json`` of a self-training experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.rounds.plan import RoundsPlan


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def summarise(
    plan: RoundsPlan, settings: Mapping[Any, Any], seconds: Mapping[str, float], previous: Path
) -> dict[str, Any]:
    """Collect what the steps left behind.

    Args:
        plan: of the experiment, all steps done.
        settings: the composed config.
        seconds: of the steps that ran this time; those of earlier runs are taken over from ``previous``.
        previous: an older summary, if there is one.
    """
    earlier = _load(previous)["seconds"] if previous.exists() else {}
    arms = {
        arm.name: {
            "meaning": arm.meaning,
            "steps": arm.steps,
            "checkpoint": str(arm.checkpoint),
            **{split: _load(plan.figures(arm, split))["figures"] for split in plan.splits},
        }
        for arm in plan.arms
    }
    return {
        "settings": dict(settings),
        "splits": list(plan.splits),
        "arms": arms,
        "pseudo_labels": {name: _load(path) for name, path in plan.qualities.items()},
        "seconds": {**earlier, **{name: round(value, 1) for name, value in seconds.items()}},
    }


def table(summary: Mapping[str, Any]) -> str:
    """Rows: the arms with steps, AP and AP_50 per split, and precision and recall of each round's labels."""
    splits = list(summary["splits"])
    heads = [f"{metric} {split}" for split in splits for metric in ("AP", "AP_50")]
    lines = ["", f"{'detector':<12}{'trained on':<32}{'steps':>7}" + "".join(f"{head:>12}" for head in heads)]
    for name, arm in summary["arms"].items():
        cells = "".join(f"{100 * arm[split][metric]:>12.1f}" for split in splits for metric in ("AP", "AP_50"))
        lines.append(f"{name:<12}{arm['meaning']:<32}{arm['steps']:>7}{cells}")
    for name, quality in summary["pseudo_labels"].items():
        lines += ["", f"pseudo labels of {name} against the hidden labels, IoU 0.5"]
        lines.append(f"  {'class':<14}{'precision':>10}{'recall':>10}")
        for label, row in quality_rows(quality):
            lines.append(f"  {label:<14}{100 * row[0]:>10.1f}{100 * row[1]:>10.1f}")
    return "\n".join(lines)


def quality_rows(quality: Mapping[str, Any]) -> list[tuple[str, tuple[float, float]]]:
    """Class, (precision, recall) at IoU 0.5."""
    return [(name, (row["precision_50"], row["recall_50"])) for name, row in quality["one_to_one"].items()]
