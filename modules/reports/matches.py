"""Which detections of an evaluation were right: kept beside its figures, for curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modules.label_quality.matching import match_one_to_one, pair_boxes
from utils.arrays import ARRAY_ERRORS, describe
from utils.atomic import atomic_path
from utils.errors import UserError
from utils.evaluation.windows import protocol_mask

FILE = "matches.npz"
IOU = 0.5
"""Least overlap of a detection that is right."""

MOST = 2_000_000
"""Detections that are kept, those of the highest scores."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Matches:
    """Detections [N] and labels [M] that count, matched at IoU 0.5, one to one, by falling score.

    Attributes:
        score: that ranks detections.
        class_id: of each detection.
        right: whether it takes a label of its class.
        true_class: class of the label that it takes when classes do not count; −1 is background.
        area: of the detection, square pixels.
        frame: number of its frame.
        label_class: of each label.
        label_area: of each label, square pixels.
        label_frame: number of its frame.
        label_score: score of the detection of its class that takes it; −1 for none.
        label_any: score of the detection of any class that takes it; −1 for none.
    """

    score: Array
    class_id: Array
    right: Array
    true_class: Array
    area: Array
    frame: Array
    label_class: Array
    label_area: Array
    label_frame: Array
    label_score: Array
    label_any: Array

    def save(self, path: Path, extra: Mapping[str, Array] | None = None) -> None:
        """Write the arrays, and further ones, as npz."""
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            arrays: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
            np.savez_compressed(handle, **arrays, **dict[str, Any](extra or {}))


def load_matches(path: Path) -> tuple[Matches, dict[str, Array]]:
    """Read what ``Matches.save`` has written: the matches, and the further arrays by name.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return Matches(**{field.name: arrays.pop(field.name) for field in fields(Matches)}), arrays
    except (*ARRAY_ERRORS, AttributeError) as error:  # one array has no files
        got = f"an unreadable file ({describe(error)})"
        raise UserError(expected="matches of an evaluation", got=got, where=str(path), fix="evaluate again") from error


@dataclass(frozen=True)
class Counted:
    """Labels [M] by frame and detections [N] by falling score that count, with the numbers of their frames."""

    labels: Array
    label_frame: Array
    detections: Array
    frame: Array
    score: Array


def match_frames(frames: Sequence[tuple[Array, Array]], settings: Any) -> Matches:
    """Match the detections of labelled frames with their labels, see ``counted_boxes``."""
    return match_boxes(counted_boxes(frames, settings), len(settings.classes))


def counted_boxes(frames: Sequence[tuple[Array, Array]], settings: Any) -> Counted:
    """What counts of labels and detections.

    Args:
        frames: labels and detections of each, ``BBOX_DTYPE``.
        settings: the evaluator, whose filters of time and size, classes and score hold here, too.
    """
    gt, dt = (np.concatenate([frame[side] for frame in frames]) for side in (0, 1))
    gt_frame, dt_frame = (np.repeat(np.arange(len(frames)), [len(frame[side]) for frame in frames]) for side in (0, 1))
    limits = (settings.skip_us, settings.min_diag, settings.min_side)
    known = len(settings.classes)
    keep = protocol_mask(gt, *limits) & (gt["class_id"] < known)
    gt, gt_frame = gt[keep], gt_frame[keep]
    score = dt["class_confidence"].astype(np.float64)
    score = score if settings.score == "class" else score * dt["objectness"]
    keep = protocol_mask(dt, *limits) & (dt["class_id"] < known) & np.isin(dt_frame, gt_frame) & np.isfinite(score)
    picked = np.flatnonzero(keep)
    picked = picked[np.argsort(-score[picked], kind="stable")[:MOST]]
    return Counted(gt, gt_frame, dt[picked], dt_frame[picked], score[picked])


def match_boxes(counted: Counted, known: int) -> Matches:
    """Match what counts; ``known`` is the number of classes."""
    gt, gt_frame, dt, dt_frame = counted.labels, counted.label_frame, counted.detections, counted.frame
    score = counted.score
    own = _match(gt, gt_frame * known + gt["class_id"], dt, dt_frame * known + dt["class_id"], score)
    any_class = _match(gt, gt_frame, dt, dt_frame, score)
    labels = np.append(gt["class_id"].astype(np.int16), -1)
    return Matches(
        score=score.astype(np.float32),
        class_id=dt["class_id"].astype(np.int16),
        right=own >= 0,
        true_class=labels[any_class],
        area=(dt["w"] * dt["h"]).astype(np.float32),
        frame=dt_frame.astype(np.int32),
        label_class=labels[:-1],
        label_area=(gt["w"] * gt["h"]).astype(np.float32),
        label_frame=gt_frame.astype(np.int32),
        label_score=_taken(own, score, len(gt)),
        label_any=_taken(any_class, score, len(gt)),
    )


def _match(gt: Array, gt_group: Array, dt: Array, dt_group: Array, score: Array) -> Array:
    boxes, labels = (np.stack([each[name] for name in "xywh"], axis=1).astype(np.float64) for each in (dt, gt))
    groups = [group.astype(np.int64) for group in (dt_group, gt_group)]
    return match_one_to_one(pair_boxes(boxes, groups[0], labels, groups[1]), groups[0], score, IOU)


def _taken(matched: Array, score: Array, labels: int) -> Array:
    found = np.full(labels, -1.0, dtype=np.float32)
    found[matched[matched >= 0]] = score[matched >= 0]
    return found
