"""Figures as text: in per cent, with dashes where nothing was counted."""

from __future__ import annotations

import numpy as np

from modules.evaluation.table import NO_LABELS, figures_line, figures_table
from utils.boxes import BBOX_DTYPE
from utils.evaluation.coco import METRICS
from utils.evaluation.prophesee import PropheseeEvaluator

CLASSES = ("car", "pedestrian")


def boxes(*class_ids: int) -> np.ndarray:
    found = np.zeros(len(class_ids), dtype=BBOX_DTYPE)
    for row, class_id in zip(found, class_ids, strict=True):
        row["t"], row["x"], row["y"], row["w"], row["h"] = 1_000_000, 50 * class_id, 10, 40, 40
        row["class_id"], row["class_confidence"], row["objectness"] = class_id, 0.9, 0.9
    return found


def evaluated(labels: np.ndarray, detections: np.ndarray) -> tuple[dict[str, float], dict[str, int]]:
    evaluator = PropheseeEvaluator(CLASSES, 240, 304, min_diag=30, min_side=10)
    evaluator.add([labels], [detections])
    return evaluator.compute(), evaluator.counted


def rows(table: str) -> dict[str, list[str]]:
    split = [line.split() for line in table.splitlines()]
    return {name: cells for name, *cells in split if name in ("overall", *CLASSES)}


def test_a_class_without_labels_is_a_dash_and_no_part_of_the_mean() -> None:
    figures, counted = evaluated(boxes(0), boxes(0, 1))
    assert counted == {"car": 1, "pedestrian": 0}
    table = figures_table(figures, CLASSES, "val", counted)
    assert table.startswith("val, per cent\n")
    found = rows(table)
    assert found["overall"][:2] == found["car"][:2] == ["100.00", "100.00"]
    assert found["pedestrian"] == ["–"] * len(METRICS)
    assert "no label counted of pedestrian" in table


def test_a_class_that_is_missed_is_zero() -> None:
    figures, counted = evaluated(boxes(0, 1), boxes(0))
    found = rows(figures_table(figures, CLASSES, "val", counted))
    assert (found["overall"][0], found["pedestrian"][0]) == ("50.00", "0.00")


def test_without_any_label_there_are_no_figures() -> None:
    figures, counted = evaluated(boxes(), boxes(0))
    table = figures_table(figures, CLASSES, "val", counted)
    assert "0.00" not in table
    assert table.endswith(NO_LABELS)
    assert figures_line(figures, 0.1, counted) == NO_LABELS
