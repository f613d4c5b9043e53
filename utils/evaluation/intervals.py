"""How sure is an AP? Intervals of figures by resampling the recordings of an evaluation with replacement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from utils.evaluation.recordings import Recordings

RESAMPLES = 1000
LEAST_RESAMPLES, MOST_RESAMPLES = 20, 100_000
"""Of fewer resamples the ends of an interval say nothing; of more they hardly change."""
LEAST = 5
"""Recordings from which on an interval is given: of fewer there are too few different resamples."""
LEVEL = 95
"""Per cent of the resamples that lie within an interval."""

_SEED = 0


class Difference(NamedTuple):
    """By how much a figure is larger, and the interval of that."""

    value: float
    low: float
    high: float


def resampled(recordings: int, resamples: int) -> npt.NDArray[np.int64]:
    """How often each resample holds each recording [resamples, recordings]; the same numbers give the same resamples.

    >>> resampled(6, 2).sum(axis=1).tolist()
    [6, 6]
    """
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(recordings, np.full(recordings, 1 / recordings), size=resamples)


def intervals(recordings: Recordings, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Intervals of AP and AP_50, also by class and with detections ranked by the other score.

    Returns:
        ``recordings`` (with labels), ``resamples``, and ``figures``: lower and upper end by name, shares; none of them
        with fewer than ``LEAST`` recordings.
    """
    count = len(recordings.names)
    found = {} if count < LEAST else recordings.figures(resampled(count, resamples))
    known = {name: _ends(values) for name, values in found.items() if np.isfinite(values).any()}
    return {"recordings": count, "resamples": resamples, "figures": known}


def differences(one: Recordings, other: Recordings, resamples: int = RESAMPLES) -> dict[str, Difference]:
    """By how much the figures of another evaluation of the same recordings are larger, from the same resamples.

    Args:
        one: what the other is compared with.
        other: with the same recordings, classes and labels.
        resamples: their number.
    """
    assert one.names == other.names
    count = len(one.names)
    weights = np.concatenate([np.ones((1, count), np.int64), resampled(count, resamples)])
    mine, theirs = one.figures(weights), other.figures(weights)
    found = {}
    for name in (name for name in mine if name in theirs):
        whole, *values = theirs[name] - mine[name]
        if np.isfinite(whole):
            found[name] = Difference(float(whole), *_ends(np.array(values)))
    return found


def why_no_differences(one: Recordings, other: Recordings) -> str | None:
    """Why two evaluations cannot be compared recording by recording; None if they can."""
    if one.names != other.names:
        return "they are not of the same recordings"
    if one.classes != other.classes or not np.array_equal(one.labels, other.labels):
        return "they do not count the same labels"
    if len(one.names) < LEAST:
        return _few(len(one.names))
    return None


def interval_line(told: Mapping[str, Any], figures: Mapping[str, float]) -> str:
    """Figures with their intervals in a line, in per cent.

    Args:
        told: by ``intervals``.
        figures: of the evaluation by name, shares.

    >>> told = {"recordings": 30, "resamples": 1000, "figures": {"AP": [0.241, 0.28]}}
    >>> interval_line(told, {"AP": 0.263})
    'by resampling 30 recordings (1000 times, 95 %): AP 26.3 [24.1, 28.0]'
    >>> interval_line({"recordings": 3, "resamples": 1000, "figures": {}}, {"AP": 0.263})
    'no interval of AP: recordings with labels: 3, at least 5 are needed'
    """
    count = told["recordings"]
    if count < LEAST:
        return f"no interval of AP: {_few(count)}"
    shown = [name for name in ("AP", "AP_50", "product_AP", "class_AP") if name in told["figures"] and name in figures]
    parts = [f"{name} {100 * figures[name]:.1f} {_range(told['figures'][name])}" for name in shown]
    return f"by resampling {count} recordings ({told['resamples']} times, {LEVEL} %): {', '.join(parts)}"


def _few(count: int) -> str:
    return f"recordings with labels: {count}, at least {LEAST} are needed"


def _range(ends: list[float]) -> str:
    return f"[{', '.join(f'{100 * end:.1f}' for end in ends)}]"


def _ends(values: npt.NDArray[np.float64]) -> list[float]:
    return np.nanpercentile(values, [50 - LEVEL / 2, 50 + LEVEL / 2]).tolist()
