"""Views of a sequence for test-time augmentation, the same for evaluation and labelling.

Mirrored frames and those with fewer events run as lanes of their own, reversed time is a pass of its own; what they
find is moved to the plain frame and merged.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import batched_nms

from data.augmentation.intensity import IntensityState, jitter
from data.payloads.base import Inputs
from data.payloads.frames import FrameInputs
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


def thin_lanes(inputs: FrameInputs, paths: Sequence[str], frames: npt.NDArray[np.int64], share: float) -> FrameInputs:
    """Append lanes that lack a share of their events: B lanes become 2B.

    Each frame has random numbers of its own, so that it looks the same in whatever batch it comes.

    Args:
        inputs: counts on the host, uint8 [L, B, C, H, W].
        paths: sequence folder of each lane; those that are empty stay as they are.
        frames: frame numbers [L, B], negative where there is none.
        share: probability that an event is lost.
    """
    data, state = inputs.data.clone(), IntensityState(dropout=share)
    for lane, path in enumerate(paths):
        name = zlib.crc32(Path(path).name.encode())
        for t in np.flatnonzero(frames[:, lane] >= 0).tolist() if path else []:
            frame = data[t, lane].numpy()
            frame[...] = jitter(frame[None], state, np.random.default_rng([name, int(frames[t, lane])]), None)[0]
    return inputs.beside(FrameInputs(data))


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
        return agree(views, form, agreement.iou)
    rows = torch.from_numpy(np.concatenate(views).astype(np.float32))
    scores = rows[:, form.OBJECTNESS] * rows[:, form.CLASS_CONFIDENCE]
    corners = torch.stack(form.corners(rows), dim=1)
    return rows[batched_nms(corners, scores, rows[:, form.CLASS_ID], threshold)].numpy()
