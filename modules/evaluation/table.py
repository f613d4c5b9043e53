"""Figures as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from utils.evaluation.coco import METRICS


def figures_table(figures: Mapping[str, float], classes: Sequence[str], title: str) -> str:
    """Rows: all classes and each class; columns: AP, AP_50, AP_75, AP_S, AP_M, AP_L, in per cent.

    Figures ranked by the other score and the stricter counts follow, one line each. A figure of −1 (nothing of that
    size) is shown as a dash.

    Args:
        figures: values by name, in [0, 1] or −1.
        classes: class names.
        title: first line.
    """
    width = max(len(name) for name in ("overall", *classes)) + 2
    lines = [title, " " * width + "".join(f"{metric:>8}" for metric in METRICS)]
    for label, suffix in [("overall", ""), *((name, f"_{name}") for name in classes)]:
        cells = "".join(f"{_percent(figures.get(metric + suffix)):>8}" for metric in METRICS)
        lines.append(f"{label:<{width}}{cells}")
    notes = {
        "product_": "ranked by objectness x class",
        "class_": "ranked by class confidence",
        "strict_": "all labelled frames count, without a box of the class or size too",
    }
    for prefix, meaning in notes.items():
        if f"{prefix}AP" in figures:
            ap, ap50 = _percent(figures[f"{prefix}AP"]), _percent(figures[f"{prefix}AP_50"])
            lines.append(f"{meaning}: AP {ap}, AP_50 {ap50}")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "-" if value is None or value < 0 else f"{100 * value:.2f}"
