"""Does memory hold when an object stops? What an evaluation finds by the time since there were events in the box."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from data.sequences.layout import FrameReader
from modules.playback.sequence import sequence_paths
from modules.reports.frames import Frames
from modules.reports.matches import Array, Matches
from utils.pictures.plots import Values

SPANS = (
    (0.0, "now"),
    (0.25, "up to 0.25 s ago"),
    (0.5, "up to 0.5 s ago"),
    (1.0, "up to 1 s ago"),
    (2.0, "longer ago"),
)
"""Longest times since the last events, seconds, and what is said of them; the last one has no end."""

ACTIVE = 0.1
"""Share of a box's pixels that have an event in a frame, from which on the box has events."""

MOST_FRAMES = 20_000
"""Frames that are read for this at most, of sequences spread over the evaluation."""

_CHUNK = 64


def seconds_without_events(
    boxes: Array, frame: Array, frames: Frames, dataset: Mapping[str, Any], most: int = MOST_FRAMES
) -> Array:
    """Time since the last frame in which a box, where it is now, had events.

    Args:
        boxes: structured, pixels of the frame [n].
        frame: number of each box's frame among ``frames`` [n].
        frames: that were evaluated.
        dataset: section of the config.
        most: frames that are read.

    Returns:
        float32 [n], seconds up to ``SPANS[-1]``; NaN where the sequence was not read.
    """
    found = np.full(len(boxes), np.nan, dtype=np.float32)
    dt_s = float(dataset["representation"]["dt_ms"]) / 1000
    at = 0
    sequences = []
    for folder, own in groupby(frames, lambda each: each[0][0]):
        numbers = [key[1] for key, _ in own]
        sequences.append((folder, at, numbers))
        at += len(numbers)
    every = max(1, -(-sum(numbers[-1] + 1 for *_, numbers in sequences) // most))
    for folder, first, numbers in sequences[::every]:
        place = np.flatnonzero((frame >= first) & (frame < first + len(numbers)))
        if not len(place):
            continue
        name, half = dataset["representation"]["name"], bool(dataset["downsample_by_factor_2"])
        reader = FrameReader(sequence_paths(Path(folder), name, half).h5)
        by_number = np.asarray(numbers)[frame[place] - first]
        found[place] = _since(reader, boxes[place], by_number, round(SPANS[-1][0] / dt_s)) * dt_s
    return found


def _since(reader: FrameReader, boxes: Array, number: Array, most: int) -> Array:
    """Frames since the last one with events in each box, at most ``most`` or as many as there are before."""
    found = np.zeros(len(boxes), dtype=np.float32)
    count, _, height, width = reader.shape
    edges = [boxes["x"], boxes["y"], boxes["x"] + boxes["w"], boxes["y"] + boxes["h"]]
    limits = (width, height, width, height)
    x1, y1, x2, y2 = (np.clip(np.rint(e), 0, limit).astype(np.intp) for e, limit in zip(edges, limits, strict=True))
    sums = np.zeros((most + 1, height + 1, width + 1), dtype=np.int32)  # of active pixels above and to the left
    for start in range(0, min(count, int(number.max()) + 1), _CHUNK):
        active = (reader.read(start, min(start + _CHUNK, count)) != 0).any(axis=1)
        for at, frame in enumerate(active, start):
            sums[at % len(sums), 1:, 1:] = frame.cumsum(axis=0, dtype=np.int32).cumsum(axis=1)
            own = np.flatnonzero(number == at)
            before = np.arange(min(at, most) + 1)
            when = ((at - before) % len(sums))[:, None]
            a, b, c, d = x1[own], y1[own], x2[own], y2[own]
            inside = sums[when, d, c] - sums[when, b, c] - sums[when, d, a] + sums[when, b, a]
            had = inside >= ACTIVE * np.maximum((c - a) * (d - b), 1)
            found[own] = np.where(had.any(axis=0), had.argmax(axis=0), before[-1])
    return found


def stillness_rows(
    matches: Matches, labels: Array, detections: Array, threshold: float
) -> list[tuple[str, int, float | None, float | None]]:
    """What was found of labels by the time since they had events.

    Args:
        matches: of the evaluation.
        labels: seconds of each label, see ``seconds_without_events``.
        detections: seconds of each detection; one on nothing counts against the labels of its own span.
        threshold: score from which on detections count for the recall.

    Returns:
        what is said of the span, labels, AP at IoU 0.5 with all classes as one, and recall, in per cent.
    """
    rows, last = [], -np.inf
    for limit, name in SPANS:
        ends = np.inf if limit == SPANS[-1][0] else limit + 1e-6
        own = (labels > last) & (labels <= ends)
        wrong = ~matches.right & (detections > last) & (detections <= ends)
        last = ends
        score = matches.label_score[own]
        if own.any():
            ap = average_precision(score[score >= 0], matches.score[wrong], int(own.sum()))
            rows.append((name, int(own.sum()), 100 * ap, 100 * float((score >= max(threshold, 0)).mean())))
        else:
            rows.append((name, 0, None, None))
    return rows


def average_precision(right: Array, wrong: Array, labels: int) -> float:
    """Area under the curve of the best precision at 101 recalls, from the scores of right and wrong detections."""
    score = np.concatenate([right, wrong])
    hit: Values = (np.arange(len(score)) < len(right)).astype(np.float64)
    hits = np.cumsum(hit[np.argsort(-score, kind="stable")])
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    places = np.searchsorted(hits / labels, np.linspace(0, 1, 101))
    return float(np.append(precision, 0.0)[np.minimum(places, len(precision))].mean())
