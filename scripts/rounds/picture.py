"""The rounds of an experiment as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.atomic import atomic_path


def save_picture(summary: Mapping[str, Any], path: Path | str) -> None:
    """Draw AP of every arm, and precision and recall of each round's labels after each step of labelling, as PNG.

    Args:
        summary: of ``summarise``.
        path: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    qualities = summary["pseudo_labels"]
    figure = Figure(figsize=(5 * (1 + bool(qualities)), 4), layout="constrained")
    axes: Any = figure.subplots(1, 1 + bool(qualities), squeeze=False)[0]
    _draw_arms(axes[0], summary)
    if qualities:
        _draw_labels(axes[1], qualities)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))


def _draw_arms(axis: Any, summary: Mapping[str, Any]) -> None:
    arms, splits = summary["arms"], summary["splits"]
    width = 0.8 / len(splits)
    for index, split in enumerate(splits):
        places = np.arange(len(arms)) + width * (index - (len(splits) - 1) / 2)
        bars = axis.bar(places, [100 * arm[split]["AP"] for arm in arms.values()], 0.9 * width, label=split)
        axis.bar_label(bars, fmt="%.1f", fontsize=7)
    axis.set_xticks(range(len(arms)), list(arms), rotation=30, ha="right")
    axis.set(ylabel="AP, per cent", title="detectors")
    axis.legend()
    axis.grid(axis="y", alpha=0.3)


def _draw_labels(axis: Any, qualities: Mapping[str, Any]) -> None:
    names: list[str] = []
    for quality in qualities.values():
        names += [name for name in quality.get("steps", {"+ tracking": None}) if name not in names]
    for color, (round_name, quality) in enumerate(qualities.items()):
        steps = quality.get("steps", {"+ tracking": quality})
        rows = [(names.index(name), row["one_to_one"]["all"]) for name, row in steps.items()]
        for rate, style in (("precision", "o-"), ("recall", "s--")):
            heights = [100 * row[f"{rate}_50"] for _, row in rows]
            axis.plot([at for at, _ in rows], heights, style, color=f"C{color}", label=f"{rate}, {round_name}")
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set(ylim=(0, 100), ylabel="per cent, IoU 0.5", title="pseudo labels after each step")
    axis.legend(fontsize=7)
    axis.grid(alpha=0.3)
