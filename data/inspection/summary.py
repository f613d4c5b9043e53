"""Sums and histograms over the sequences of a split, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from data.inspection.sequence import SequenceFacts
from data.sequences.account import BoxAccount
from utils.boxes import IGNORE_LABEL

Counts = npt.NDArray[np.int64]

SIZE_EDGES: npt.NDArray[np.float64] = 2.0 ** np.arange(0, 11.25, 0.25)
"""Bounds of the histogram of box sizes (square root of the area), pixels; the first and last bins are open."""
STEP_US = 100
MAX_STEPS = 50_000
"""Distances in time are counted in bins of ``STEP_US``, up to 5 s."""
MAX_BOXES = 50
MAP_HW = (24, 32)


def _zeros(*shape: int) -> Callable[[], Counts]:
    return lambda: np.zeros(shape, dtype=np.int64)


@dataclass
class SplitSummary:
    """What a split holds.

    Attributes:
        sequences, frames, labelled_frames, boxes, ignored, pseudo: numbers of them; ignored boxes carry the ignore
            label, pseudo boxes the time 0.
        duration_us: summed over sequences; with the shortest and the longest.
        events: of the recordings where preprocessing kept a record, else what the frames count, extrapolated from
            those that were read (counts are clipped, so there may have been more).
        events_known: sequences with such a record.
        frames_read: frames decoded for it.
        per_class: boxes per class id, the last bin for all ids beyond.
        sizes: boxes by the square root of their area, bins between ``SIZE_EDGES`` and one beyond on either side.
        boxes_per_label: labelled frames by their boxes, the last bin for ``MAX_BOXES`` and more.
        label_steps, frame_steps: distances of labelled frames, and median frame steps of sequences, in bins of
            ``STEP_US``, the last one for all beyond.
        account: what became of the boxes of the recordings, where preprocessing kept a record.
        centres: boxes by the place of their centres, ``MAP_HW`` cells over the frame.
    """

    sequences: int = 0
    frames: int = 0
    labelled_frames: int = 0
    boxes: int = 0
    ignored: int = 0
    pseudo: int = 0
    duration_us: float = 0.0
    shortest_us: float = 0.0
    longest_us: float = 0.0
    events: float = 0.0
    events_known: int = 0
    frames_read: int = 0
    per_class: Counts = field(default_factory=_zeros(IGNORE_LABEL))
    sizes: Counts = field(default_factory=_zeros(len(SIZE_EDGES) + 1))
    boxes_per_label: Counts = field(default_factory=_zeros(MAX_BOXES + 1))
    label_steps: Counts = field(default_factory=_zeros(MAX_STEPS + 1))
    frame_steps: Counts = field(default_factory=_zeros(MAX_STEPS + 1))
    account: BoxAccount = field(default_factory=BoxAccount)
    centres: Counts = field(default_factory=_zeros(*MAP_HW))

    def add(self, facts: SequenceFacts, hw: tuple[int, int] | None) -> None:
        """Add a sequence; ``hw`` is the size of the labels' pixels."""
        self.shortest_us = min(self.shortest_us, facts.duration_us) if self.sequences else facts.duration_us
        self.longest_us = max(self.longest_us, facts.duration_us)
        self.sequences += 1
        self.frames += facts.frames
        self.duration_us += facts.duration_us
        self.labelled_frames += len(facts.boxes_per_label)
        self.frames_read += facts.frames_read
        if facts.events is not None:
            self.events += facts.events
            self.events_known += 1
        elif facts.frames_read:
            self.events += facts.counts / facts.frames_read * facts.frames
        self.boxes_per_label += _bincount(facts.boxes_per_label, MAX_BOXES)
        self.label_steps += _bincount(np.rint(np.diff(facts.label_times_us) / STEP_US), MAX_STEPS)
        if facts.frame_step_us:
            self.frame_steps += _bincount(np.rint([facts.frame_step_us / STEP_US]), MAX_STEPS)
        self.account.add(facts.account.read, facts.account.kept, facts.account.dropped)
        self._add_boxes(facts.boxes, hw)

    def _add_boxes(self, boxes: npt.NDArray[Any], hw: tuple[int, int] | None) -> None:
        self.boxes += len(boxes)
        self.pseudo += int((boxes["t"] == 0).sum())
        ignored = boxes["class_id"] == IGNORE_LABEL
        self.ignored += int(ignored.sum())
        boxes = boxes[~ignored]
        self.per_class += _bincount(boxes["class_id"].astype(np.int64), IGNORE_LABEL - 1)
        usable = boxes[np.isfinite(np.stack([boxes[name] for name in ("x", "y", "w", "h")])).all(axis=0)]
        usable = usable[(usable["w"] > 0) & (usable["h"] > 0)]
        side = np.sqrt(usable["w"].astype(np.float64) * usable["h"])
        self.sizes += np.bincount(np.searchsorted(SIZE_EDGES, side, side="right"), minlength=len(self.sizes))
        if hw is not None and len(usable):
            rows = (usable["y"] + usable["h"] / 2) / hw[0] * MAP_HW[0]
            columns = (usable["x"] + usable["w"] / 2) / hw[1] * MAP_HW[1]
            place = (
                np.clip(rows, 0, MAP_HW[0] - 1).astype(np.int64),
                np.clip(columns, 0, MAP_HW[1] - 1).astype(np.int64),
            )
            np.add.at(self.centres, place, 1)

    @property
    def label_rate_hz(self) -> float:
        """Labels per second where labels follow each other: one over the median distance; 0 if unknown."""
        step = median_bin(self.label_steps)
        return 1e6 / (step * STEP_US) if step else 0.0

    @property
    def frame_step_ms(self) -> float:
        """Median time from frame to frame; 0 if unknown."""
        return median_bin(self.frame_steps) * STEP_US / 1000

    def class_counts(self, classes: Sequence[str] | None) -> dict[str, int]:
        """Boxes by class name; ids without a name are called by their number."""
        known = len(classes or ())
        beyond = [int(i) for i in np.flatnonzero(self.per_class[known:]) + known]
        counts = {name: int(self.per_class[index]) for index, name in enumerate(classes or ())}
        return counts | {f"class {index}": int(self.per_class[index]) for index in beyond}

    def as_dict(self, classes: Sequence[str] | None) -> dict[str, Any]:
        """For JSON."""
        return {
            "sequences": self.sequences,
            "hours": self.duration_us / 3.6e9,
            "shortest_s": self.shortest_us / 1e6,
            "longest_s": self.longest_us / 1e6,
            "frames": self.frames,
            "frame_step_ms": self.frame_step_ms,
            "events": round(self.events),
            "events_are_exact": self.events_known == self.sequences,
            "frames_read": self.frames_read,
            "labelled_frames": self.labelled_frames,
            "label_rate_hz": self.label_rate_hz,
            "boxes": self.boxes,
            "raw_boxes": self.account.as_dict(),
            "boxes_per_class": self.class_counts(classes),
            "ignored_boxes": self.ignored,
            "pseudo_boxes": self.pseudo,
            "box_size_edges_px": SIZE_EDGES.tolist(),
            "box_sizes": self.sizes.tolist(),
            "boxes_per_labelled_frame": self.boxes_per_label.tolist(),
            "box_centres": self.centres.tolist(),
        }


def _bincount(values: npt.NDArray[Any], last: int) -> Counts:
    return np.bincount(np.clip(values, 0, last).astype(np.int64), minlength=last + 1)


def median_bin(counts: Counts) -> int:
    """Bin of the (lower) median of a histogram, 0 if it is empty.

    >>> median_bin(np.array([0, 2, 1, 0]))
    1
    """
    total = int(counts.sum())
    return int(np.searchsorted(np.cumsum(counts), (total + 1) // 2)) if total else 0
