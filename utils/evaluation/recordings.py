"""An evaluation by recordings: average precision for any weights of the recordings, from one matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.arrays import load_npz
from utils.atomic import atomic_path
from utils.errors import UserError
from utils.evaluation.coco import best_boxes, boxes_of_class
from utils.evaluation.pooled import THRESHOLDS
from utils.evaluation.windows import Windows

FILE = "recordings.npz"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RECALLS = np.linspace(0, 1, 101)
_LANES = 64
"""Weightings that are computed side by side; their numbers stay in the processor's cache."""
_HITS = (1 << len(THRESHOLDS)) - 1
_OWN = 1 << len(THRESHOLDS)
"""Bit of a detection whose window has a label of its class: the others are no part of the figures of the class."""
_FIX = "evaluate again with evaluation.bootstrap=1000"


@dataclass(frozen=True)
class Ranking:
    """Detections by class and falling score, as far as the last one that takes a label.

    Attributes:
        hits: bits: whether it takes a label at each least overlap, and whether its window has a label of its class,
            uint16 [N].
        recording: number of its recording, int32 [N].
        first: index of the first one of each class, and their number, int64 [classes + 1].
    """

    hits: npt.NDArray[np.uint16]
    recording: npt.NDArray[np.int32]
    first: Ints

    def of_class(self, class_id: int, *, own: bool) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
        """Hits and recordings of a class; ``own``: only of windows with a label of it."""
        mine = slice(*self.first[class_id : class_id + 2])
        hits, recording = self.hits[mine], self.recording[mine]
        if own:
            kept = hits & _OWN > 0
            hits, recording = hits[kept], recording[kept]
        return hits & np.uint16(_HITS), recording


@dataclass(frozen=True)
class Recordings:
    """What average precision needs of an evaluation, whatever each recording counts.

    Attributes:
        names: recordings with a label that counts.
        classes: names.
        labels: that count, int64 [recordings, classes].
        rankings: by what stands before the names of their figures: nothing, ``product_`` or ``class_``.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: Ints
    rankings: Mapping[str, Ranking]

    def figures(self, weights: npt.NDArray[Any]) -> dict[str, Floats]:
        """``AP`` and ``AP_50`` of each ranking, and those of the plain one for each of several classes.

        Args:
            weights: how often each recording counts, whole numbers, [R, recordings].

        Returns:
            float64 [R] by name; NaN where no label counts.
        """
        found: dict[str, Floats] = {}
        every = range(len(self.classes))
        for prefix, ranking in self.rankings.items():
            precision = np.stack([self._precision(ranking, class_id, weights, own=False) for class_id in every])
            for name, values in _means(precision).items():
                found[prefix + name] = values
        for class_id, label in enumerate(self.classes if len(self.classes) > 1 else ()):
            precision = self._precision(self.rankings[""], class_id, weights, own=True)
            found |= {f"{name}_{label}": values for name, values in _means(precision[None]).items()}
        return found

    def _precision(self, ranking: Ranking, class_id: int, weights: npt.NDArray[Any], *, own: bool) -> Floats:
        """Mean precision over recall at each least overlap [overlaps, R]; NaN without a label."""
        from utils.evaluation.kernels import sum_precision  # numba is loaded only where it is needed

        hits, recording = ranking.of_class(class_id, own=own)
        count, *right = (
            np.bincount(recording[kept], minlength=len(self.names)).astype(np.float64)
            for kept in (slice(None), *((hits >> bit) & 1 > 0 for bit in range(len(THRESHOLDS))))
        )
        parts = [np.zeros((len(THRESHOLDS), 0))]
        for start in range(0, len(weights), _LANES):
            lanes = np.ascontiguousarray(weights[start : start + _LANES].T, dtype=np.float64)
            labels = self.labels[:, class_id] @ lanes
            sums = sum_precision(hits, recording, lanes, labels_needed(labels), count @ lanes, np.stack(right) @ lanes)
            parts.append(np.where(labels > 0, sums / len(RECALLS), np.nan))
        return np.concatenate(parts, axis=1)

    def save(self, path: Path) -> None:
        """Write the arrays as npz, which ``load_recordings`` reads."""
        small = np.min_scalar_type(max(len(self.names) - 1, 0))
        arrays: dict[str, Any] = {"prefixes": np.array(list(self.rankings), np.str_), "labels": self.labels}
        arrays |= {"names": np.array(self.names, np.str_), "classes": np.array(self.classes, np.str_)}
        for at, each in enumerate(self.rankings.values()):
            arrays |= {f"hits_{at}": each.hits, f"recording_{at}": each.recording.astype(small)}
            arrays[f"first_{at}"] = each.first
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(handle, **arrays)


def load_recordings(path: Path) -> Recordings:
    """Read what ``Recordings.save`` has written.

    Raises:
        UserError: the file is missing or damaged.
    """
    told = load_npz(path, "prefixes", "labels", "names", "classes", fix=_FIX)
    prefixes, names, classes = (tuple(told[name].reshape(-1).tolist()) for name in ("prefixes", "names", "classes"))
    wanted = [f"{name}_{at}" for at in range(len(prefixes)) for name in ("hits", "recording", "first")]
    arrays = load_npz(path, *wanted, fix=_FIX) if wanted else {}
    rankings = {}
    for at, prefix in enumerate(prefixes):
        hits, recording, first = (arrays[f"{name}_{at}"] for name in ("hits", "recording", "first"))
        kinds = (hits.dtype, recording.dtype.kind, first.dtype) == (np.uint16, "u", np.int64)
        if not kinds or hits.shape != recording.shape or (recording >= len(names)).any():
            raise _damaged(path)
        if first.shape != (len(classes) + 1,) or first[0] != 0 or first[-1] != len(hits) or (np.diff(first) < 0).any():
            raise _damaged(path)
        rankings[prefix] = Ranking(hits, recording.astype(np.int32), first)
    labels = told["labels"]
    if "" not in rankings or labels.shape != (len(names), len(classes)) or labels.dtype != np.int64:
        raise _damaged(path)
    return Recordings(names, classes, labels, rankings)


def by_recording(
    windows: Windows, recordings: Sequence[str], scores: Mapping[str, Floats], classes: Sequence[str]
) -> Recordings:
    """Match an evaluation once.

    Args:
        windows: labels and detections.
        recordings: name of the recording of each item of the windows.
        scores: what ranks detections [len(windows.dt)], by what stands before the names of the figures.
        classes: names in the order of their ids.
    """
    names, of_window = np.unique(np.asarray(recordings, np.str_)[windows.item], return_inverse=True)
    place = of_window[windows.gt_window] * len(classes) + windows.gt["class_id"]
    labels = np.bincount(place, minlength=len(names) * len(classes)).reshape(len(names), len(classes))
    rankings = {prefix: _ranking(windows, own, of_window, len(classes)) for prefix, own in scores.items()}
    return Recordings(tuple(names.tolist()), tuple(classes), labels, rankings)


def _ranking(windows: Windows, scores: Floats, of_window: Ints, num_classes: int) -> Ranking:
    from utils.evaluation.kernels import match

    edges, ones = np.arange(windows.count + 1), np.ones(len(windows.gt))
    every_hits, every_recording = [], []
    for class_id in range(num_classes):
        labels = boxes_of_class(windows.gt, windows.gt_window, ones, class_id)
        found = best_boxes(boxes_of_class(windows.dt, windows.dt_window, scores, class_id))
        first, first_label = (np.searchsorted(boxes.window, edges) for boxes in (found, labels))
        hits = match(found.xywh, found.score, first, labels.xywh, first_label, THRESHOLDS)
        # What comes after the last hit changes no precision at a recall that is reached.
        ranked = np.argsort(-found.score, kind="stable")
        ranked = ranked[: np.flatnonzero(hits[ranked]).max(initial=-1) + 1]
        own = np.isin(found.window[ranked], labels.window) * np.uint16(_OWN)
        every_hits.append(hits[ranked] | own.astype(np.uint16))
        every_recording.append(of_window[found.window[ranked]].astype(np.int32))
    ends = np.cumsum([0, *(len(hits) for hits in every_hits)], dtype=np.int64)
    return Ranking(np.concatenate(every_hits), np.concatenate(every_recording), ends)


def labels_needed(labels: Floats) -> Floats:
    """Labels to find until each recall is reached, at least one [recalls, R]."""
    whole = np.maximum(labels, 1)
    needed = np.ceil(RECALLS[:, None] * whole)
    needed -= (needed - 1) / whole >= RECALLS[:, None]  # exactly where the quotient, as it is rounded, reaches it
    needed += needed / whole < RECALLS[:, None]
    return np.maximum(needed, 1)


def _means(precision: Floats) -> dict[str, Floats]:
    """AP and AP_50 [R] of precision [classes, overlaps, R]; classes without labels are no part of the mean."""
    known = np.isfinite(precision[:, 0])
    filled = np.where(known[:, None], precision, 0.0)
    with np.errstate(invalid="ignore"):
        by_overlap = filled.sum(axis=0) / known.sum(axis=0)
    return {"AP": by_overlap.mean(axis=0), "AP_50": by_overlap[0]}


def _damaged(path: Path) -> UserError:
    got = "arrays that do not fit each other"
    return UserError(expected="an evaluation by recordings", got=got, where=str(path), fix=_FIX)
