"""CSV logs as columns of numbers."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from utils.pictures.plots import Values

Columns = Mapping[str, tuple[Values, Values]]
"""Steps and values of each column, ascending, without those that were not logged."""


def read_columns(path: Path) -> Columns:
    """Read a log of ``modules.logs`` or of speeds; empty if it is not there.

    Rows are sorted by step; of a step that was logged again, as after a resume, the last value counts. Cells that are
    no number are left out.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as handle:
        reader = csv.reader(handle)
        heads = next(reader, [])
        if "step" not in heads:
            return {}
        at = heads.index("step")
        found = [(array("d"), array("d")) for _ in heads]
        for row in reader:
            step = _number(row[at]) if at < len(row) else None
            if step is None:
                continue
            for cell, (steps, values) in zip(row, found, strict=False):
                value = _number(cell) if cell else None
                if value is not None:
                    steps.append(step)
                    values.append(value)
    named = zip(heads, found, strict=True)
    return {head: _sorted(*pair) for head, pair in named if head not in ("step", "epoch") and pair[0]}


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _sorted(steps: array[float], values: array[float]) -> tuple[Values, Values]:
    x, y = np.array(steps), np.array(values)
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    last = np.append(x[1:] != x[:-1], True)
    return x[last], y[last]
