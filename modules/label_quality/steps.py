"""What each step of pseudo-labelling brings: the same figures after detection, views, merging and tracking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.sequences.layout import SequencePaths, list_sequences, read_labels
from modules.evaluation.agreement import Agreement
from modules.evaluation.table import percent
from modules.label_quality.figures import Records, compare_boxes, hidden_frames
from modules.labelling.config import ScoreThresholds
from modules.labelling.dataset import KEPT_VIEWS_DIR, read_settings
from modules.labelling.sequence_boxes import EventSeqData
from modules.labelling.views import read_views
from utils.boxes import FloatArray, Label, rows_to_records
from utils.evaluation.prophesee import PropheseeEvaluator
from utils.pictures.charts import chart, draw_bars
from utils.progress import track
from utils.settings import settings_of

RATES = ("precision_50", "recall_50", "f1_50")
_NONE = np.zeros((0, len(Label)), dtype=np.float32)


@dataclass(frozen=True)
class StepReport:
    """Figures after each step, by its name, in order; see ``evaluate_steps``."""

    figures: dict[str, dict[str, Any]]

    def text(self) -> str:
        """Return a table for a terminal, in per cent."""
        names = (*(f"{rate[:-3]} .5" for rate in RATES), "AP", "AP_50")
        lines = ["after each step", " " * 28 + f"{'boxes':>10}" + "".join(f"{name:>14}" for name in names)]
        for step, row in self.figures.items():
            rates = [row["one_to_one"]["all"][rate] for rate in RATES]
            values = [*rates, row["prophesee"]["AP"], row["prophesee"]["AP_50"]]
            lines.append(f"{step:<28}{row['boxes']:>10}" + "".join(f"{percent(value):>14}" for value in values))
        return "\n".join(lines)

    def save_picture(self, path: Path | str) -> None:
        """Draw precision, recall and F1 at IoU 0.5 after each step as bars, all classes and each one, as PNG."""
        steps = list(self.figures)
        classes = list(self.figures[steps[0]]["one_to_one"])
        with chart(path, (4 * len(classes), 4), columns=len(classes), share_y="row") as ((*axes,),):
            for axis, name in zip(axes, classes, strict=True):
                rows = [self.figures[step]["one_to_one"][name] for step in steps]
                draw_bars(axis, steps, {rate.replace("_50", ""): [row[rate] for row in rows] for rate in RATES})
                axis.set(title=name, ylim=(0, 1))
            axes[0].set_ylabel("one box, one label, IoU 0.5")
            axes[0].legend()


def evaluate_steps(
    pseudo_split: Path,
    source_split: Path,
    ev_repr_name: str,
    classes: Sequence[str],
    make_evaluator: Callable[[], PropheseeEvaluator],
    thresholds: ScoreThresholds,
    frame_hw: tuple[int, int],
    downsampled: bool = False,
) -> StepReport | None:
    """Compare the boxes after each step with the labels hidden from training, on the frames that count at the end.

    Args:
        pseudo_split: split folder of a dataset that was written with ``keep_views``.
        source_split: the split it was made from, with all its labels.
        ev_repr_name: name of the representation.
        classes: class names in the order of their ids.
        make_evaluator: gives an empty evaluator at full resolution.
        thresholds: count only boxes above these scores.
        frame_hw: full resolution, pixels.
        downsampled: frames are at half resolution (boxes never are).

    Returns:
        Figures as of ``compare_boxes`` after each step; None when the views were not kept.
    """
    folder = pseudo_split.parent / KEPT_VIEWS_DIR
    if not folder.is_dir():
        return None
    settings = read_settings(pseudo_split.parent, {"hflip": bool, "tflip": bool, "nms_threshold": float})
    agreement = settings_of(Agreement, settings, "agreement") if "agreement" in settings else None
    flips, more = settings["hflip"] or settings["tflip"], bool({"teachers", "drop_events"} & settings.keys())
    labels: list[Records] = []
    boxes: dict[str, list[Records]] = {}
    for root in track(list_sequences(pseudo_split), desc="compare steps", unit="sequence"):
        sequence = EventSeqData(root, frame_hw, nms_threshold=float(settings["nms_threshold"]), agreement=agreement)
        sequence.add_state(read_views(folder / f"{root.name}.npz"))
        steps = _merged_steps(sequence, flips=flips, more=more)
        pseudo, source = (
            read_labels(SequencePaths(path, ev_repr_name, downsampled)) for path in (root, source_split / root.name)
        )
        for frame, real, found in hidden_frames(pseudo, source):
            labels.append(real)
            for step, rows in steps.items():
                boxes.setdefault(step, []).append(rows_to_records(rows.get(frame, _NONE)))
            boxes.setdefault("+ tracking", []).append(found)
    return StepReport(
        {
            step: compare_boxes(labels, parts, classes, make_evaluator(), thresholds).figures
            for step, parts in boxes.items()
        }
    )


def _merged_steps(sequence: EventSeqData, *, flips: bool, more: bool) -> Mapping[str, dict[int, FloatArray]]:
    """Boxes by frame after each step before tracking; without further views there is nothing to merge."""
    steps = {"detections": sequence.boxes_of_views(all_views=False)}
    if flips or more:
        steps["+ further views" if more else "+ mirrored, reversed views"] = sequence.boxes_of_views(all_views=True)
        merging = "NMS over" if sequence.agreement is None else "agreement of"
        steps[f"+ {merging} the views"] = sequence.aggregate()
    return steps
