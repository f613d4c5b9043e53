"""Figures on pseudo labels as text, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.evaluation.table import figures_table
from utils.atomic import write_json
from utils.pictures.charts import chart

_RATES = ("precision", "recall", "f1")
_PERCENTS = (25, 50, 75)
_MAX_POINTS = 20_000  # of a picture


@dataclass(frozen=True)
class QualityReport:
    """What ``evaluate_pseudo_labels`` found.

    Attributes:
        classes: class names.
        figures: nested values: ``one_to_one`` by class, ``any_class`` before and after tracking, ``overlap_share`` by
            class, ``prophesee``, and counts.
        best_iou: largest overlap of every pseudo box with a label of its class [N].
        class_id: class of every pseudo box [N].
        objectness: its objectness [N].
        class_confidence: its class confidence [N].
        counted: labels of each class that count by the Prophesee protocol.
    """

    classes: tuple[str, ...]
    figures: dict[str, Any]
    best_iou: npt.NDArray[np.float64]
    class_id: npt.NDArray[np.int64]
    objectness: npt.NDArray[np.float64]
    class_confidence: npt.NDArray[np.float64]
    counted: Mapping[str, int] | None = None

    def text(self) -> str:
        """Return the figures as tables for a terminal, in per cent."""
        f = self.figures
        after, before = f["any_class"]["after_tracking"], f["any_class"]["before_tracking"]
        shares = {
            name: {key.removeprefix("overlap_"): value for key, value in row.items()}
            for name, row in f["overlap_share"].items()
        }
        return "\n\n".join(
            [
                f"{f['boxes']} pseudo boxes on {f['frames']} frames with {f['labels']} hidden labels",
                _rate_table("one box, one label of its class", f["one_to_one"], _RATES),
                _rate_table(
                    "one box, one label of any class", {"before tracking": before, "after tracking": after}, _RATES
                ),
                _rate_table(
                    "share that overlaps any label of the class, mean over frames", shares, ("precision", "recall")
                ),
                figures_table(f["prophesee"], self.classes, "Prophesee protocol", self.counted),
            ]
        )

    def score_iou(self) -> dict[str, Any]:
        """Return how scores go with overlap: the correlation, and the mean overlap in tenths of each score."""
        return {
            name: _correlation(score, self.best_iou)
            for name, score in (("objectness", self.objectness), ("class_confidence", self.class_confidence))
        }

    def save_json(self, path: Path | str) -> None:
        """Write all figures, and how scores go with overlap, as JSON."""
        write_json(path, {"classes": list(self.classes), **self.figures, "score_iou": self.score_iou()})

    def save_picture(self, path: Path | str) -> None:
        """Draw score against overlap, one point a box (at most 20,000, evenly picked), as PNG."""
        picked = np.unique(np.linspace(0, len(self.best_iou) - 1, _MAX_POINTS).astype(np.int64))
        picked = picked if len(self.best_iou) else np.zeros(0, dtype=np.int64)
        with chart(path, (10, 4.5), columns=2, share_y="row") as ((*axes,),):
            for axis, name in zip(axes, ("objectness", "class_confidence"), strict=True):
                for class_id, label in enumerate(self.classes):
                    own = picked[self.class_id[picked] == class_id]
                    axis.scatter(getattr(self, name)[own], self.best_iou[own], s=4, alpha=0.4, label=label)
                axis.set(xlabel=name.replace("_", " "), xlim=(0, 1), ylim=(0, 1))
            axes[0].set_ylabel("largest IoU with a hidden label of the class")
            axes[0].legend(markerscale=3)


def _rate_table(title: str, rows: Mapping[str, Mapping[str, float]], rates: Sequence[str]) -> str:
    names = [f"{rate}_{percent}" for percent in _PERCENTS for rate in rates]
    width = max(len(name) for name in rows) + 2
    lines = [title, " " * width + "".join(f"{name:>14}" for name in names)]
    for label, row in rows.items():
        lines.append(f"{label:<{width}}" + "".join(f"{100 * row[name]:>14.2f}" for name in names))
    return "\n".join(lines)


def _correlation(score: npt.NDArray[np.float64], iou: npt.NDArray[np.float64]) -> dict[str, Any]:
    varied = len(score) > 1 and score.std() > 0 and iou.std() > 0
    tenth = np.minimum((score * 10).astype(np.int64), 9)
    count = np.bincount(tenth, minlength=10)
    mean = np.bincount(tenth, weights=iou, minlength=10) / np.maximum(count, 1)
    return {
        "correlation": float(np.corrcoef(score, iou)[0, 1]) if varied else 0.0,
        "boxes_per_tenth": count.tolist(),
        "mean_iou_per_tenth": mean.tolist(),
    }
