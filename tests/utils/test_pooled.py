"""Figures over all frames pooled, against an example that was worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from modules.evaluation.table import figures_table
from utils.boxes import BBOX_DTYPE
from utils.evaluation.prophesee import PropheseeEvaluator


def boxes(*rows: tuple[int, int, float, float, float, float, float]) -> np.ndarray:
    """Rows t, class, x, y, w, h, score."""
    made = np.zeros(len(rows), BBOX_DTYPE)
    for name, column in zip(
        ("t", "class_id", "x", "y", "w", "h", "class_confidence"), zip(*rows, strict=True), strict=True
    ):
        made[name] = column
    made["objectness"] = 1
    return made


def evaluated() -> PropheseeEvaluator:
    evaluator = PropheseeEvaluator(["car", "bus", "tram"], 100, 100, 0, 0, pooled=True)
    first, second = 600_000, 800_000
    labels = [boxes((first, 0, 0, 0, 10, 10, 1), (first, 1, 50, 50, 20, 20, 1)), boxes((second, 0, 20, 20, 10, 10, 1))]
    found = [
        boxes(
            (first, 0, 0, 0, 10, 10, 0.9),  # right at every threshold
            (first, 0, 0, 0, 10, 10, 0.8),  # its label is taken
            (first, 1, 50, 50, 20, 13, 0.7),  # IoU 0.65: right up to 0.6
        ),
        boxes((second, 0, 20, 20, 10, 8, 0.6)),  # IoU 0.8: right below 0.8 only
    ]
    evaluator.add(labels, found)
    return evaluator


def test_by_hand() -> None:
    figures = {
        name.removeprefix("pooled_"): v for name, v in evaluated().compute().items() if name.startswith("pooled")
    }
    # F1 is highest at the lowest confidence: car has 2 of 3 right and both found, bus 1 of 1.
    assert (figures["P_car"], figures["R_car"]) == (pytest.approx(2 / 3), 1)
    assert (figures["P_bus"], figures["R_bus"]) == (1, 1)
    assert (figures["P_tram"], figures["AP_tram"]) == (-1, -1)
    # Car at 0.5: precision 1 up to recall 0.5, then its envelope falls to 2/3 at once, and drops to 0 at recall 1.
    # Between the points (0.5, 1), (0.5, 2/3) and (1, 2/3) the 101 recalls see 50 steps of 1, one that falls to 2/3, 48
    # of 2/3 and the last one that falls to 0.
    car = (50 * 1 + (1 + 2 / 3) / 2 + 48 * 2 / 3 + (2 / 3) / 2) / 100
    assert figures["AP_50_car"] == pytest.approx(car, abs=6e-3)
    # Bus is right at 0.5, 0.55 and 0.6; each counts 0.995.
    assert figures["AP_50_bus"] == pytest.approx(0.995)
    assert figures["AP_bus"] == pytest.approx(3 * 0.995 / 10)
    assert figures["AP_50"] == pytest.approx((figures["AP_50_car"] + figures["AP_50_bus"]) / 2)
    # Car from 0.8 on: one right of three, precision 1 up to recall 0.5.
    assert figures["AP_car"] < figures["AP_50_car"]


def test_the_table_stands_behind_the_usual_one() -> None:
    evaluator = evaluated()
    text = figures_table(evaluator.compute(), evaluator.classes, "title", evaluator.counted)
    head, rows = text.split("all frames pooled, as YOLO programs count\n")
    assert "overall" in head
    lines = rows.splitlines()
    assert lines[0].split() == ["P", "R", "AP_50", "AP"]
    assert [line.split()[0] for line in lines[1:]] == ["overall", "car", "bus", "tram"]
    assert lines[4].split()[1:] == ["–"] * 4
    assert not any(name.startswith("pooled") for name in PropheseeEvaluator(["car"], 9, 9, 0, 0).compute())
    assert evaluator.compute(extra=False).keys() & {"pooled_P"} == set()


def test_without_any_detection() -> None:
    evaluator = PropheseeEvaluator(["car"], 100, 100, 0, 0, pooled=True)
    evaluator.add([boxes((600_000, 0, 0, 0, 10, 10, 1))], [np.zeros(0, BBOX_DTYPE)])
    figures = evaluator.compute()
    assert [figures[f"pooled_{name}_car"] for name in ("P", "R", "AP_50", "AP")] == [0, 0, 0, 0]
