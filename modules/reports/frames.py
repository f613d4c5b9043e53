"""Frames on which a detector did best and worst, drawn with their events and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data.sequences.layout import FrameReader
from modules.playback.sequence import event_counts, sequence_paths
from modules.reports.matches import Array, Matches
from utils.boxes import class_name
from utils.pictures.boxes import BoxKind, DrawnBox, draw_boxes
from utils.pictures.drawing import DARK, Image, draw_events, exposure, scale_events

NUMBER = 4
"""Frames of each kind."""

_LEAST_WIDTH = 480
_QUALITY = 80

Frames = Sequence[tuple[tuple[str, int], tuple[Array, Array]]]
"""Folder of the sequence and number of a frame, and its labels and detections."""


def chosen_frames(matches: Matches, frames: int, threshold: float) -> dict[str, list[tuple[int, int, int, int]]]:
    """Frames with most labels found without a mistake, and those with most mistakes.

    Args:
        matches: of the evaluation.
        frames: their number.
        threshold: score from which on detections count.

    Returns:
        by kind (best, worst): number of the frame, labels found, boxes that are wrong, labels missed.
    """
    shown = matches.score >= threshold
    right = np.bincount(matches.frame[shown & matches.right], minlength=frames)
    wrong = np.bincount(matches.frame[shown & ~matches.right], minlength=frames)
    missed = np.bincount(matches.label_frame, minlength=frames) - right
    faults = wrong + missed
    best, worst = np.lexsort((faults, -right)), np.lexsort((right, -faults))
    picked = {
        "best": [int(at) for at in best if right[at] > 0 and faults[at] == 0][:NUMBER],
        "worst": [int(at) for at in worst[:NUMBER] if faults[at] > 0],
    }
    return {kind: [(at, int(right[at]), int(wrong[at]), int(missed[at])) for at in ats] for kind, ats in picked.items()}


def draw_frames(
    frames: Frames, matches: Matches, threshold: float, dataset: Mapping[str, Any], score: str
) -> dict[str, Array]:
    """JPEG files as uint8 [n] by caption, for ``Matches.save``.

    Args:
        frames: that were evaluated.
        matches: of these.
        threshold: score from which on detections are shown.
        dataset: section of the config.
        score: ``class`` or ``product``, what ranks detections.
    """
    found: dict[str, Array] = {}
    for kind, rows in chosen_frames(matches, len(frames), threshold).items():
        for at, right, wrong, missed in rows:
            (folder, number), (labels, detections) = frames[at]
            scores = detections["class_confidence"] * (1 if score == "class" else detections["objectness"])
            shown = scores >= threshold
            paths = sequence_paths(
                Path(folder), dataset["representation"]["name"], bool(dataset["downsample_by_factor_2"])
            )
            counts = event_counts(FrameReader(paths.h5).read(number, number + 1)[0])
            image = _drawn(counts, labels, detections[shown], scores[shown], list(dataset["classes"]))
            told = f"{right} found, {wrong} wrong, {missed} missed"
            found[f"{kind}: {Path(folder).name}, frame {number}: {told}"] = jpeg(image[..., ::-1])
    return found


def jpeg(image: Array) -> Array:
    """A picture uint8 [h, w, 3], blue first, as the bytes of a file, uint8 [n]."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return np.asarray(data).reshape(-1)


def _drawn(counts: Array, labels: Array, detections: Array, scores: Array, classes: Sequence[str]) -> Image:
    height, width = counts.shape[1:]
    factor = max(1, -(-_LEAST_WIDTH // width))
    image = scale_events(draw_events(counts, DARK, exposure(counts)), factor * height, factor * width, DARK)
    boxes = [_box(row, BoxKind.TRUTH, class_name(classes, int(row["class_id"]))) for row in labels]
    for row, score in zip(detections, scores.tolist(), strict=True):
        boxes.append(_box(row, BoxKind.PREDICTION, f"{class_name(classes, int(row['class_id']))} {score:.2f}"))
    draw_boxes(image, [box.scaled(factor, factor) for box in boxes], DARK)
    return image


def _box(row: Any, kind: BoxKind, text: str) -> DrawnBox:
    x, y, w, h = (float(row[name]) for name in "xywh")
    return DrawnBox((x, y, x + w, y + h), kind, int(row["class_id"]), text)
