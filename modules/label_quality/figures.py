"""How good pseudo labels are, measured on the real labels that were hidden from training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.sequences.layout import SequencePaths, StoredLabels, list_sequences, read_labels
from modules.label_quality.matching import Pairs, match_one_to_one, pair_boxes
from modules.label_quality.report import QualityReport
from modules.labelling.config import ScoreThresholds
from modules.labelling.finished import linked_source
from utils.boxes import BBOX_DTYPE, IGNORE_LABEL
from utils.errors import UserError
from utils.evaluation.prophesee import PropheseeEvaluator
from utils.progress import track

IOU_THRESHOLDS = (0.25, 0.5, 0.75)

Records = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """Real labels and pseudo boxes of the frames that count; ``*_frame`` gives each one's frame, 0 … ``frames`` − 1."""

    labels: Records
    label_frame: IntArray
    boxes: Records
    box_frame: IntArray
    frames: int


def source_split_of(pseudo_split: Path | str, ev_repr_name: str, downsampled: bool) -> Path:
    """Split folder that a pseudo dataset's frames are linked from.

    Raises:
        UserError: its frames are no links.
    """
    source = linked_source(pseudo_split, ev_repr_name, downsampled)
    if source is not None:
        return source
    raise UserError(
        expected="a pseudo-label dataset, whose frames are links",
        got="no linked frames",
        where=str(pseudo_split),
        fix="give the dataset the labels were made from: source_path=FOLDER",
    )


def evaluate_pseudo_labels(
    pseudo_split_dir: Path | str,
    source_split_dir: Path | str,
    ev_repr_name: str,
    classes: Sequence[str],
    evaluator: PropheseeEvaluator,
    thresholds: ScoreThresholds | None = None,
    downsampled: bool = False,
) -> QualityReport:
    """Compare pseudo boxes with the source's labels on the frames whose labels the pseudo dataset does not show.

    Args:
        pseudo_split_dir: for example ``…/gen1x0.01_ss-1round/train``.
        source_split_dir: the split they were made from, with all its labels.
        ev_repr_name: name of the representation.
        classes: class names in the order of their ids.
        evaluator: an empty evaluator at full resolution, for the Prophesee figures.
        thresholds: count only boxes above these scores.
        downsampled: frames are at half resolution (boxes never are).

    Raises:
        UserError: a sequence is missing in the source, or no label is hidden.
    """
    thresholds = thresholds or ScoreThresholds.of(0.0, 0.0, range(len(classes)))
    parts: list[tuple[Records, Records]] = []
    for root in track(list_sequences(pseudo_split_dir), desc="compare labels", unit="sequence"):
        source = SequencePaths(Path(source_split_dir) / root.name, ev_repr_name, downsampled)
        pseudo = read_labels(SequencePaths(root, ev_repr_name, downsampled))
        parts += [(real, boxes) for _, real, boxes in hidden_frames(pseudo, read_labels(source))]
    if not parts:
        raise UserError(
            expected="frames whose real labels are hidden from training",
            got="none: every labelled frame kept its ground truth",
            where=str(pseudo_split_dir),
            fix="compare a dataset that was made with dataset.ratio or dataset.train_ratio",
        )
    return compare_boxes([real for real, _ in parts], [boxes for _, boxes in parts], classes, evaluator, thresholds)


def compare_boxes(
    labels: Sequence[Records],
    boxes: Sequence[Records],
    classes: Sequence[str],
    evaluator: PropheseeEvaluator,
    thresholds: ScoreThresholds,
) -> QualityReport:
    """Compare frame by frame.

    Args:
        labels: real labels of each frame, ``BBOX_DTYPE``; those of unknown classes do not count.
        boxes: pseudo boxes of each frame, ignored ones included.
        classes: class names.
        evaluator: for the Prophesee figures.
        thresholds: count only boxes above these scores.
    """
    labels = [real[real["class_id"] < len(classes)] for real in labels]
    everything = _joined(labels, [part[_above(part, thresholds)] for part in boxes])
    kept = _select(everything, everything.boxes["class_id"] < len(classes))
    pairs = _paired(kept, by_class=True)
    best = pairs.best_iou_of_boxes()
    evaluator.reset()
    splits = np.split(kept.boxes, np.cumsum(np.bincount(kept.box_frame, minlength=kept.frames))[:-1])
    for real, part in zip(labels, splits, strict=True):
        timed = part.copy()
        timed["t"] = real["t"][0] if len(real) else 0
        evaluator.add([real], [timed])
    figures: dict[str, Any] = {
        "frames": kept.frames,
        "labels": len(kept.labels),
        "boxes": len(kept.boxes),
        "one_to_one": _one_to_one(kept, pairs, classes),
        "any_class": {
            "before_tracking": _any_class(everything),
            "after_tracking": _any_class(kept),
        },
        "overlap_share": _overlap_shares(kept, pairs, classes),
        "prophesee": evaluator.compute(),
    }
    scores = {name: kept.boxes[name].astype(np.float64) for name in ("objectness", "class_confidence")}
    class_id = kept.boxes["class_id"].astype(np.int64)
    return QualityReport(tuple(classes), figures, best, class_id, counted=evaluator.counted, **scores)


def hidden_frames(pseudo: StoredLabels, source: StoredLabels) -> list[tuple[int, Records, Records]]:
    """Number, real labels and pseudo boxes of every labelled frame of the source that shows no ground truth."""
    boxes = {int(frame): pseudo.frame(i) for i, frame in enumerate(pseudo.objframe_idx_2_repr_idx)}
    hidden: list[tuple[int, Records, Records]] = []
    for index, frame in enumerate(source.objframe_idx_2_repr_idx.tolist()):
        found = boxes.get(frame, np.zeros(0, dtype=BBOX_DTYPE))
        if not (found["t"] > 0).any():
            hidden.append((frame, source.frame(index), found))
    return hidden


def _above(boxes: Records, thresholds: ScoreThresholds) -> BoolArray:
    """Mark boxes above the thresholds; of a box whose class tracking has erased, those of the mildest class."""
    passed = thresholds.mask(boxes["class_id"], boxes["objectness"], boxes["class_confidence"])
    erased = (boxes["class_id"] == IGNORE_LABEL) & (boxes["objectness"] > min(thresholds.objectness))
    return passed | (erased & (boxes["class_confidence"] > min(thresholds.class_confidence)))


def _joined(labels: Sequence[Records], boxes: Sequence[Records]) -> Compared:
    frames = np.arange(len(labels))
    return Compared(
        np.concatenate(labels),
        np.repeat(frames, [len(part) for part in labels]),
        np.concatenate(boxes),
        np.repeat(frames, [len(part) for part in boxes]),
        len(labels),
    )


def _select(data: Compared, boxes: BoolArray) -> Compared:
    return Compared(data.labels, data.label_frame, data.boxes[boxes], data.box_frame[boxes], data.frames)


def _paired(data: Compared, *, by_class: bool) -> Pairs:
    sides = [np.stack([part[name].astype(np.float64) for name in "xywh"], axis=1) for part in (data.boxes, data.labels)]
    return pair_boxes(sides[0], _box_groups(data, by_class), sides[1], _groups(data.labels, data.label_frame, by_class))


def _groups(records: Records, frame: IntArray, by_class: bool) -> IntArray:
    return frame * (IGNORE_LABEL + 1) + records["class_id"] if by_class else frame


def _box_groups(data: Compared, by_class: bool) -> IntArray:
    return _groups(data.boxes, data.box_frame, by_class)


def _matches(data: Compared, pairs: Pairs, by_class: bool) -> dict[float, BoolArray]:
    """Which boxes find a label of their own, by least overlap."""
    score = data.boxes["objectness"].astype(np.float64) * data.boxes["class_confidence"]
    groups = _box_groups(data, by_class)
    return {limit: match_one_to_one(pairs, groups, score, limit) >= 0 for limit in IOU_THRESHOLDS}


def _one_to_one(data: Compared, pairs: Pairs, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    matches = _matches(data, pairs, by_class=True)
    rows = {"all": _rates(matches, len(data.labels))}
    for class_id, name in enumerate(classes):
        own = data.boxes["class_id"] == class_id
        count = int((data.labels["class_id"] == class_id).sum())
        rows[name] = _rates({limit: found[own] for limit, found in matches.items()}, count)
    return rows


def _any_class(data: Compared) -> dict[str, float]:
    return _rates(_matches(data, _paired(data, by_class=False), by_class=False), len(data.labels))


def _rates(matches: dict[float, BoolArray], num_labels: int) -> dict[str, float]:
    rates: dict[str, float] = {"labels": num_labels, "boxes": len(matches[IOU_THRESHOLDS[0]])}
    for limit, found in matches.items():
        hits, percent = int(found.sum()), round(100 * limit)
        rates[f"precision_{percent}"] = hits / len(found) if len(found) else 0.0
        rates[f"recall_{percent}"] = hits / num_labels if num_labels else 0.0
        rates[f"f1_{percent}"] = 2 * hits / (len(found) + num_labels) if len(found) + num_labels else 0.0
    return rates


def _overlap_shares(data: Compared, pairs: Pairs, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """LEOD's own figures: in frames with labels of a class, the share of boxes that overlap one, and of labels.

    Averaged over those frames; boxes of a class in frames without a label of it do not count, and several boxes may
    overlap the same label. LEOD calls them AP and AR.
    """
    box_best, label_best = pairs.best_iou_of_boxes(), pairs.best_iou_of_labels()
    shares: dict[str, dict[str, float]] = {}
    for class_id, name in enumerate(classes):
        boxes, labels = data.boxes["class_id"] == class_id, data.labels["class_id"] == class_id
        labels_per_frame = np.bincount(data.label_frame[labels], minlength=data.frames)
        counted = labels_per_frame > 0
        row: dict[str, float] = {"frames": int(counted.sum())}
        for limit in IOU_THRESHOLDS:
            for key, best, own, frame in (
                ("precision", box_best, boxes, data.box_frame),
                ("recall", label_best, labels, data.label_frame),
            ):
                hits = np.bincount(frame[own], weights=best[own] > limit, minlength=data.frames)
                total = np.maximum(np.bincount(frame[own], minlength=data.frames), 1)
                share = float((hits / total)[counted].mean()) if counted.any() else 0.0
                row[f"overlap_{key}_{round(100 * limit)}"] = share
        shares[name] = row
    return shares
