"""From what a teacher finds to the labels of its pupil."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.detection.interface import FrameBoxes
from modules.evaluation.views import merge_views
from modules.labelling.detections import crop_boxes
from utils.boxes import IGNORE_LABEL, Detection, Label, detections_to_rows


@dataclass(frozen=True)
class TeacherLabels:
    """Labels of some frames.

    Attributes:
        boxes: what is to be found, and of class ``IGNORE_LABEL`` what is neither that nor background.
        certain: how many of them are to be found.
        score: float32 [frames], mean score (objectness x class confidence) of those of each frame, 1 without any.
    """

    boxes: FrameBoxes
    certain: int
    score: Tensor


def last_frames(is_padded: Tensor, count: int) -> Tensor:
    """Indices t·B + b of the last ``count`` frames of each lane that are there, int64 [n], ascending.

    Args:
        is_padded: bool [L, B], as in a batch.
        count: frames of a lane.

    >>> last_frames(torch.tensor([[False, False], [False, False], [False, True]]), 1).tolist()
    [3, 4]
    """
    there = ~is_padded
    left = there.flip(0).cumsum(0).flip(0)
    return torch.nonzero((there & (left <= count)).flatten()).squeeze(1)


def mirrored_too(indices: Tensor, lanes: int) -> Tensor:
    """Indices t·B + b in a batch of twice the lanes, then those of the same frames in the second half.

    >>> mirrored_too(torch.tensor([1, 2]), 2).tolist()
    [1, 4, 3, 6]
    """
    plain = indices // lanes * 2 * lanes + indices % lanes
    return torch.cat([plain, plain + lanes])


def merge_mirrored(detections: Sequence[Tensor], width: int, nms: float) -> list[Tensor]:
    """Detections of frames from those of the frames as they are and, in the second half, mirrored; on the host.

    Args:
        detections: of each frame [n, 7] (``Detection``).
        width: of the frames, pixels.
        nms: overlap above which the weaker of two boxes of a class goes.
    """
    found = [rows.float().cpu().numpy().copy() for rows in detections]
    half = len(found) // 2
    for rows in found[half:]:
        Detection.mirror_(rows, width)
    return [
        torch.from_numpy(merge_views(views, Detection, nms)) for views in zip(found[:half], found[half:], strict=True)
    ]


def teacher_labels(
    detections: Sequence[Tensor],
    threshold: Sequence[float],
    unsure: float,
    size_hw: tuple[int, int],
) -> TeacherLabels:
    """Labels of frames from what was found in them.

    Boxes are cut at the frame's edges; what lies outside goes. A label has the threshold of its class as its score,
    and a plausible size; what has less, from ``unsure`` on, or another size is ignored.

    Args:
        detections: of each frame [n, 7] (``Detection``), on any device.
        threshold: least score (objectness x class confidence) of a label, by class.
        unsure: least score of what is ignored.
        size_hw: size of the frames, pixels.

    Returns:
        the labels on the host, with t = 0 as of all pseudo labels.
    """
    counts = torch.tensor([len(found) for found in detections], dtype=torch.int64)
    frame = torch.arange(len(detections)).repeat_interleave(counts)
    found = torch.cat(list(detections)).float().cpu() if len(detections) else torch.zeros(0, len(Detection))
    corners, plausible = crop_boxes(found[:, Detection.CORNERS].numpy(), size_hw)
    found[:, Detection.CORNERS] = torch.from_numpy(corners)
    rows = torch.from_numpy(detections_to_rows(found.numpy()))
    score = found[:, Detection.OBJECTNESS] * found[:, Detection.CLASS_CONFIDENCE]
    least = torch.tensor(threshold, dtype=torch.float32)[found[:, Detection.CLASS_ID].long()]
    certain = (score >= least) & torch.from_numpy(plausible)
    rows[~certain, Label.CLASS_ID] = IGNORE_LABEL
    keep = (score >= unsure) & (rows[:, Label.WH] > 0).all(dim=1)
    certain &= keep
    number, total = (
        torch.bincount(frame[certain], weights=weights, minlength=len(detections)).float()
        for weights in (None, score[certain])
    )
    mean = torch.where(number > 0, total / number.clamp(min=1), 1.0)
    return TeacherLabels(FrameBoxes(rows[keep], frame[keep], len(detections), size_hw), int(certain.sum()), mean)


def together(labelled: FrameBoxes, taught: FrameBoxes, weight: Tensor) -> FrameBoxes:
    """Boxes of labelled frames, which count 1 each, and behind them those of others, with their weights [frames]."""
    return FrameBoxes(
        torch.cat([labelled.rows, taught.rows]),
        torch.cat([labelled.frame, taught.frame + labelled.num_frames]),
        labelled.num_frames + taught.num_frames,
        labelled.size_hw,
        torch.cat([torch.ones(labelled.num_frames), weight]),
    )
