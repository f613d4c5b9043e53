"""Pillars of a window's events: the compiled pass against NumPy without loops."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.types import Events
from data.payloads.pillars import POLARITIES, T_BINS, PillarSettings, window_pillars
from scripts.benchmark.measure import CPU, Row, alternate

HW = (720, 1280)
EVENTS = 200_000
"""In a window of 50 ms: a busy street in front of a 1 megapixel camera."""

Array = npt.NDArray[Any]


def window(count: int) -> Events:
    """Events that gather at edges, as those of a camera do."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 50_000, count))
    edges = rng.uniform(0, 1, (200, 2))[rng.integers(0, 200, count)]
    y, x = ((edges + rng.normal(0, 0.02, (count, 2))) % 1 * HW).astype(np.int64).T
    return Events.from_arrays(t, x, y, rng.integers(0, 2, count))


def by_numpy(events: Events, sensor_hw: tuple[int, int], settings: PillarSettings) -> list[Array]:
    """As ``window_pillars``, by sorting."""
    (height, width), size = sensor_hw, settings.size
    t = T_BINS * (events.t - events.t[0]) / max(int(events.t[-1] - events.t[0]), 1)
    x, y = events.x / width * size, events.y / height * size
    if settings.quantize:
        x, y, t = np.floor(x), np.floor(y), np.floor(t)
        place = y.astype(np.int64) * size + x.astype(np.int64)
    else:
        place = events.y.astype(np.int64) * width + events.x
    kept = np.sort(np.unique(place, return_index=True)[1])
    points, p = np.stack([x, y, t], axis=1)[kept], events.p[kept]
    sides = [p == 1, p == 0]
    return [_grouped(points[side] if side.any() else points, settings) for side in sides]


def _grouped(points: Array, settings: PillarSettings) -> Array:
    points = points[points[:, 2] < T_BINS]
    cell = points[:, 1].astype(np.int64) * settings.size + points[:, 0].astype(np.int64)
    first, inverse = np.unique(cell, return_index=True, return_inverse=True)[1:]
    order = np.argsort(first)
    if len(order) > settings.max_pillars:  # what comes after the first pillar too many is lost
        return _grouped(points[: first[order[settings.max_pillars]]], settings)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    pillar = rank[inverse]
    sort = np.argsort(pillar, kind="stable")
    pillar, points = pillar[sort], points[sort]
    slot = np.arange(len(pillar)) - np.searchsorted(pillar, pillar)
    most = settings.max_points
    table = np.zeros((len(order), settings.columns), np.float32)
    kept = slot < most
    for axis in range(3):
        table[pillar[kept], 3 * slot[kept] + axis] = points[kept, axis]
    table[:, -3] = np.minimum(np.bincount(pillar, minlength=len(order)), most)
    table[:, -2], table[:, -1] = np.divmod(cell[first[order]], settings.size)
    return table


def rows(events: int, repeats: int) -> list[Row]:
    """Pillars of whole and of exact places, both ways in turn.

    Args:
        events: of the window, at most ``EVENTS``.
        repeats: a third of the runs of each variant; medians are reported.
    """
    table: list[Row] = []
    given = window(min(events, EVENTS))
    for quantize in (True, False):
        settings = PillarSettings(quantize=quantize)
        variants = {
            "ours": partial(window_pillars, given, HW, settings),
            "NumPy": partial(by_numpy, given, HW, settings),
        }
        ours, theirs = (make() for make in variants.values())
        if not all(np.array_equal(ours[side], theirs[side]) for side in range(POLARITIES)):
            raise RuntimeError("the pillars differ")
        times = alternate(variants, 1, 3 * repeats, CPU)
        costs = {name: max(entry.cost, 1e-9) for name, entry in times.items()}
        kind = "whole places" if quantize else "exact places"
        note = f"one window of {len(given)} events, {sum(map(len, ours))} pillars; equal results"
        for name, cost in costs.items():
            table.append({"name": f"pillars, {name}, {kind}", "value": cost * 1e3, "unit": "ms", "note": note})
        ratio = costs["NumPy"] / costs["ours"]
        table.append({"name": f"pillars, ours against NumPy, {kind}", "value": ratio, "unit": "times", "note": note})
    return table
