"""Figures as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from utils.evaluation.coco import METRICS
from utils.evaluation.pooled import FIGURES as POOLED

NO_LABELS = "no label counted: there is none, or all are too small or too early (min_diag, min_side, skip_ms)"
"""Instead of figures; the keys are those of ``dataset.evaluation``."""


def figures_table(
    figures: Mapping[str, float], classes: Sequence[str], title: str, counted: Mapping[str, int] | None = None
) -> str:
    """Rows: all classes and each class; columns: AP, AP_50, AP_75, AP_S, AP_M, AP_L, in per cent.

    Figures ranked by the other score and the stricter counts follow, one line each. A figure of −1 (nothing of that
    size) is shown as a dash, and so are those of a class without labels; they are no part of the mean.

    Args:
        figures: values by name, in [0, 1] or −1.
        classes: class names.
        title: first line; that figures are in per cent is said behind it.
        counted: labels that counted by class; None: all classes have some.
    """
    empty = {name for name in classes if counted is not None and not counted.get(name)}
    width = max(len(name) for name in ("overall", *classes)) + 2
    lines = [f"{title}, per cent", " " * width + "".join(f"{metric:>8}" for metric in METRICS)]
    none = len(empty) == len(classes)
    for label, suffix in [("overall", ""), *((name, f"_{name}") for name in classes)]:
        known = {} if none or label in empty else figures
        cells = "".join(f"{percent(known.get(metric + suffix)):>8}" for metric in METRICS)
        lines.append(f"{label:<{width}}{cells}")
    if none:
        return "\n".join([*lines, NO_LABELS])
    if empty:
        lines.append(f"no label counted of {', '.join(sorted(empty))}")
    notes = {
        "product_": "ranked by objectness x class",
        "class_": "ranked by class confidence",
        "strict_": "all labelled frames count, without a box of the class or size too",
    }
    for prefix, meaning in notes.items():
        if f"{prefix}AP" in figures:
            ap, ap50 = percent(figures[f"{prefix}AP"]), percent(figures[f"{prefix}AP_50"])
            lines.append(f"{meaning}: AP {ap}, AP_50 {ap50}")
    return "\n".join([*lines, *_pooled(figures, classes, width)])


def _pooled(figures: Mapping[str, float], classes: Sequence[str], width: int) -> list[str]:
    """The table of ``utils.evaluation.pooled``, where its figures are there."""
    if f"pooled_{POOLED[0]}" not in figures:
        return []
    lines = ["all frames pooled, as YOLO programs count", " " * width + "".join(f"{name:>8}" for name in POOLED)]
    for label, suffix in [("overall", ""), *((name, f"_{name}") for name in classes)]:
        lines.append(
            f"{label:<{width}}" + "".join(f"{percent(figures[f'pooled_{name}{suffix}']):>8}" for name in POOLED)
        )
    return lines


def figures_line(figures: Mapping[str, float], threshold: float, counted: Mapping[str, int] | None = None) -> str:
    """Figures of a validation within a training, which takes fewer detections than those to report.

    Args:
        figures: values in [0, 1] by name; what stands before a slash is left out.
        threshold: least confidence of the detections that were taken.
        counted: labels that counted by class, if that is known.

    >>> figures_line({"val/AP": 0.1234}, 0.1)
    'quick AP 12.34 % (detections from confidence 0.1; figures to report are those of val.py)'
    """
    if counted is not None and not any(counted.values()):
        return NO_LABELS
    if not figures:
        return ""
    told = ", ".join(f"quick {name.split('/')[-1]} {percent(value)} %" for name, value in figures.items())
    return f"{told} (detections from confidence {float(threshold):g}; figures to report are those of val.py)"


def percent(value: float | None) -> str:
    """A share in per cent; a dash for none and for −1."""
    return "–" if value is None or value < 0 else f"{100 * value:.2f}"
