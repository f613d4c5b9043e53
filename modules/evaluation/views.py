"""Views of a sequence for test-time augmentation, the same for evaluation and labelling.

Mirrored frames run as lanes of their own, reversed time is a pass of its own; what they find is moved to the plain
frame and merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torchvision.ops import batched_nms

from data.payloads.base import Inputs
from modules.evaluation.agreement import Agreement, agree
from utils.boxes import Detection, FloatArray, Label

NMS_THRESHOLD = 0.45
"""Overlap above which the weaker of two boxes of a class is dropped (LEOD)."""

AnyInputs = TypeVar("AnyInputs", bound=Inputs)
BoxForm = type[Label] | type[Detection]
"""Which rows boxes are: label rows [n, 8] or detections [n, 7]."""


def hflip_lanes(inputs: AnyInputs) -> AnyInputs:
    """Append the mirrored lanes: B lanes become 2B, the second half mirrored left to right."""
    return inputs.beside(inputs.mirrored())


def plain_frame(number: int, reverse: bool, tflip_offset: int) -> int:
    """Frame of the plain sequence whose boxes a frame shows: a reversed one those of its neighbour."""
    return number + tflip_offset if reverse else number


def merge_views(
    views: Sequence[FloatArray],
    form: BoxForm,
    threshold: float = NMS_THRESHOLD,
    agreement: Agreement | None = None,
) -> FloatArray:
    """Merge what several views of a frame found by class-aware NMS, or by their agreement.

    Args:
        views: rows of ``form``, those of mirrored views already mirrored back (``form.mirror_``).
        form: which rows they are.
        threshold: overlap above which the weaker of two boxes of a class goes.
        agreement: merge by it instead, see ``agree``.

    Returns:
        The kept or merged rows, best objectness · class confidence first.
    """
    if agreement is not None:
        return agree(views, form, agreement.iou)[0]
    rows = torch.from_numpy(np.concatenate(views).astype(np.float32))
    scores = rows[:, form.OBJECTNESS] * rows[:, form.CLASS_CONFIDENCE]
    corners = torch.stack(form.corners(rows), dim=1)
    return rows[batched_nms(corners, scores, rows[:, form.CLASS_ID], threshold)].numpy()
