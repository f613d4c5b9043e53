"""The rounds of an experiment as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.pictures.charts import chart, draw_bars, name_bars


def save_picture(summary: Mapping[str, Any], path: Path | str) -> None:
    """Draw AP of every arm, and precision and recall of each round's labels after each step of labelling, as PNG.

    Args:
        summary: of ``summarise``.
        path: of the picture.
    """
    qualities = summary["pseudo_labels"]
    columns = 1 + bool(qualities)
    with chart(path, (5 * columns, 4), columns=columns) as axes:
        _draw_arms(axes[0, 0], summary)
        if qualities:
            _draw_labels(axes[0, 1], qualities)


def _draw_arms(axis: Any, summary: Mapping[str, Any]) -> None:
    arms, splits = summary["arms"], summary["splits"]
    heights = {split: [100 * arm[split]["AP"] for arm in arms.values()] for split in splits}
    draw_bars(axis, list(arms), heights, "%.1f")
    axis.set(ylabel="AP, per cent", title="detectors")
    axis.legend()


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
    name_bars(axis, names)
    axis.set(ylim=(0, 100), ylabel="per cent, IoU 0.5", title="pseudo labels after each step")
    axis.legend()
