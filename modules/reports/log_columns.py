"""CSV logs as columns of numbers."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from utils.arrays import describe
from utils.errors import UserError
from utils.pictures.plots import Values

Columns = Mapping[str, tuple[Values, Values]]
"""Steps and values of each column, ascending, without those that were not logged."""


def read_columns(path: Path) -> Columns:
    """Read a log of ``modules.logs`` or of speeds; empty if it is not there or has no line.

    Rows are sorted by step; of a step that was logged again, as after a resume, the last value counts. Cells that are
    no number are left out.

    Raises:
        UserError: it has no steps.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as handle:
        reader = csv.reader(handle)
        try:
            heads, rows = next(reader, []), list(reader)
        except csv.Error as error:
            raise _damaged(path, describe(error)) from error
    if heads and "step" not in heads:
        raise _damaged(path, f"no column step in {', '.join(heads)[:100]}")
    found = [(array("d"), array("d")) for _ in heads]
    for row in rows:
        at = heads.index("step")
        step = _number(row[at]) if at < len(row) else None
        if step is None or not math.isfinite(step):
            continue
        for cell, (steps, values) in zip(row, found, strict=False):
            value = _number(cell) if cell else None
            if value is not None:
                steps.append(step)
                values.append(value)
    if rows and not any(steps for steps, _ in found):
        raise _damaged(path, f"no step in {len(rows)} lines")
    named = zip(heads, found, strict=True)
    return {head: _sorted(*pair) for head, pair in named if head not in ("step", "epoch") and pair[0]}


def _damaged(path: Path, got: str) -> UserError:
    fix = "restore the file, or move it away: the curves are then left out"
    return UserError(expected="a log with steps, CSV", got=got, where=str(path), fix=fix)


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
