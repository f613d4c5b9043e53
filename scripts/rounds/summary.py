"""The table and ``summary.json`` of a self-training experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.rounds.plan import RoundsPlan
from scripts.rounds.stopping import load

RATES = ("precision_50", "recall_50", "f1_50")


_RATES = dict.fromkeys(RATES, float)
_DECISION = {"stop": bool, "precision?": float, "precision_before?": float, "why?": str}
_FIGURES = {"figures": {"AP": float, "AP_50": float}}
_LABELS = {"pseudo": int, "frames": int}
_QUALITY = {"one_to_one": {...: _RATES}, "steps?": {...: {"one_to_one": {"all": _RATES}}}}


def summarise(
    plan: RoundsPlan, settings: Mapping[Any, Any], seconds: Mapping[str, float], previous: Path
) -> dict[str, Any]:
    """Collect what the steps left behind.

    Args:
        plan: of the experiment, all steps done; those of rounds that the stopping rule has cancelled are left out.
        settings: the composed config.
        seconds: of the steps that ran this time; those of earlier runs are taken over from ``previous``.
        previous: an older summary, if there is one.
    """
    decisions = {name: load(path, _DECISION) for name, path in plan.decisions.items() if path.exists()}
    cancelled = next((name for name, decision in decisions.items() if decision["stop"]), None)
    arms = {
        arm.name: {
            "meaning": arm.meaning,
            "steps": arm.steps,
            "checkpoint": str(arm.checkpoint),
            **{split: load(plan.figures(arm, split), _FIGURES)["figures"] for split in plan.splits},
        }
        for arm in plan.arms
        if cancelled is None or all(plan.figures(arm, split).exists() for split in plan.splits)
    }
    return {
        "settings": dict(settings),
        "splits": list(plan.splits),
        "arms": arms,
        "labels_written": {name: _counts(path) for name, path in plan.labels.items() if path.exists()},
        "pseudo_labels": {name: load(path, _QUALITY) for name, path in plan.qualities.items() if path.exists()},
        "decisions": decisions,
        "stopped_before": cancelled,
        "seconds": all_seconds(previous, seconds),
    }


def _counts(path: Path) -> dict[str, int]:
    counts = load(path, _LABELS)
    return {name: counts[name] for name in ("pseudo", "frames")}


def all_seconds(previous: Path, seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds of the steps that ran this time, and of those that the results of an earlier time tell of."""
    earlier = load(previous, {"seconds": {...: float}})["seconds"] if previous.exists() else {}
    return {**earlier, **{name: round(value, 1) for name, value in seconds.items()}}


def table(summary: Mapping[str, Any]) -> str:
    """Arms with steps, AP and AP_50 per split; the labels of each round, by class and step; why it stopped."""
    splits = list(summary["splits"])
    heads = [f"{metric} {split}" for split in splits for metric in ("AP", "AP_50")]
    lines = [
        "",
        "AP, precision, recall and F1 in per cent",
        f"{'detector':<12}{'trained on':<32}{'steps':>7}" + "".join(f"{head:>12}" for head in heads),
    ]
    for name, arm in summary["arms"].items():
        cells = "".join(f"{100 * arm[split][metric]:>12.1f}" for split in splits for metric in ("AP", "AP_50"))
        lines.append(f"{name:<12}{arm['meaning']:<32}{arm['steps']:>7}{cells}")
    written = summary.get("labels_written", {})
    lines += [""] * bool(written)
    for name, counts in written.items():
        lines.append(f"{name}: {counts['pseudo']} pseudo labels; {counts['frames']} frames have labels")
    for name, quality in summary["pseudo_labels"].items():
        lines += ["", f"pseudo labels of {name} against the hidden labels, IoU 0.5"]
        lines.append(f"  {'':<28}{'precision':>10}{'recall':>10}{'F1':>10}")
        for label, row in quality_rows(quality):
            lines.append(f"  {label:<28}" + "".join(f"{100 * value:>10.1f}" for value in row))
    for name, decision in summary["decisions"].items():
        if "why" in decision:
            lines += ["", f"{name} was {'not ' if decision['stop'] else ''}trained: {decision['why']}"]
            continue
        now, before = 100 * decision["precision"], 100 * decision["precision_before"]
        verdict = "not trained, as the precision of its labels has fallen" if decision["stop"] else "trained"
        lines += ["", f"{name} was {verdict}: {now:.1f} after {before:.1f}"]
    return "\n".join(lines)


def quality_rows(quality: Mapping[str, Any]) -> list[tuple[str, tuple[float, ...]]]:
    """Class, or step of labelling, and (precision, recall, F1) at IoU 0.5; steps are there if views were kept."""
    rows = [(name, row) for name, row in quality["one_to_one"].items()]
    rows += [(f"after {name}", row["one_to_one"]["all"]) for name, row in quality.get("steps", {}).items()]
    return [(name, tuple(row[rate] for rate in RATES)) for name, row in rows]
