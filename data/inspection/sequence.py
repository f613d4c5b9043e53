"""What one sequence holds, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.inspection.config import Expectation
from data.inspection.findings import Finding
from data.inspection.frame_checks import FrameFacts, inspect_frames, inspect_labelled
from data.inspection.label_checks import check_labels
from data.sequences.account import BoxAccount
from data.sequences.layout import SequencePaths, StoredLabels, read_labels
from data.sequences.record import read_record
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError


@dataclass
class SequenceFacts:
    """One sequence.

    Attributes:
        name: its folder.
        frames: number of frames, 0 if unknown.
        frame_step_us: median time from frame to frame, 0 if unknown.
        duration_us: from the start of the first window to the end of the last, 0 if unknown.
        label_times_us: int64 [F].
        boxes_per_label: int64 [F].
        boxes: ``BBOX_DTYPE`` [N].
        frames_read: frames decoded ...
        counts: ... and the sum of their values.
        events: events of the recording, where the record of preprocessing tells, else None.
        account: what became of the boxes of the recording, where the record tells.
        findings: what is wrong.
    """

    name: str
    frames: int = 0
    frame_step_us: float = 0.0
    duration_us: float = 0.0
    label_times_us: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    boxes_per_label: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    boxes: npt.NDArray[Any] = field(default_factory=lambda: np.zeros(0, dtype=BBOX_DTYPE))
    frames_read: int = 0
    counts: int = 0
    events: int | None = None
    account: BoxAccount = field(default_factory=BoxAccount)
    findings: list[Finding] = field(default_factory=list)


def inspect_sequence(folder: Path, expected: Expectation, split: str) -> SequenceFacts:
    """Look at one sequence; never raises for what is wrong with its files.

    Args:
        folder: the sequence's folder.
        expected: what it should hold, completed.
        split: train, val or test.
    """
    where, paths = f"{split}/{folder.name}", expected.paths(folder)
    frames = inspect_frames(paths, expected, where)
    facts = SequenceFacts(folder.name, findings=list(frames.problems))
    record = read_record(folder)
    if record is not None:
        counts = record["counts"]
        facts.events = int(counts["events"])
        facts.account.add(counts.get("raw_boxes", 0), counts["boxes"], counts.get("dropped", {}))
    _take_frames(facts, frames)
    labels = _read(paths, where, facts.findings)
    if labels is None:
        return facts
    total = None if frames.shape is None else frames.shape[0]
    facts.findings += check_labels(where, labels, total, frames.times_us, expected.sensor_hw, expected.classes)
    within = labels.objframe_idx_2_repr_idx[labels.objframe_idx_2_repr_idx < facts.frames]
    facts.findings += inspect_labelled(paths, within, expected.frames_read, where)
    if not len(labels.boxes):
        fix = "leave it out, or move it to train, where it can get pseudo labels"
        detail = f"{len(labels)} labelled frames without a box" if len(labels) else "no labelled frame"
        facts.findings.append(Finding(f"sequences without labels in {split}", where, detail, split != "train", fix))
    facts.boxes = labels.boxes
    facts.boxes_per_label = np.diff(np.append(labels.objframe_idx_2_label_idx, len(labels.boxes)))
    if labels.label_timestamps_us is not None:
        facts.label_times_us = labels.label_timestamps_us
    elif frames.times_us is not None and len(labels) and labels.objframe_idx_2_repr_idx[-1] < len(frames.times_us):
        facts.label_times_us = frames.times_us[labels.objframe_idx_2_repr_idx]
    return facts


def _take_frames(facts: SequenceFacts, frames: FrameFacts) -> None:
    facts.frames = 0 if frames.shape is None else frames.shape[0]
    facts.frames_read, facts.counts = frames.read, frames.counts
    if frames.times_us is not None and len(frames.times_us) > 1:
        facts.frame_step_us = float(np.median(np.diff(frames.times_us)))
        facts.duration_us = max(float(frames.times_us[-1] - frames.times_us[0]) + facts.frame_step_us, 0.0)


def _read(paths: SequencePaths, where: str, findings: list[Finding]) -> StoredLabels | None:
    """Labels of a sequence, or None with the reason among the findings."""
    needed = (paths.objframe_idx_2_repr_idx, paths.labels_npz)
    missing = [str(file.relative_to(paths.root)) for file in needed if not file.is_file()]
    if missing:
        findings.extend(Finding("missing files", where, f"{name}: no such file") for name in missing)
        return None
    if not paths.label_timestamps.is_file():
        name = str(paths.label_timestamps.relative_to(paths.root))
        findings.append(Finding("missing label times (not needed to train)", where, name, wrong=False))
    try:
        return read_labels(paths)
    except UserError as error:
        unreadable = error.expected != "consistent labels"
        kind = "files of labels that cannot be read" if unreadable else "labels that contradict each other"
        findings.append(Finding(kind, where, error.got))
        return None
