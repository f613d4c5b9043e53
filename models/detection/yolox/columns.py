"""Columns of YOLOX's own rows, and the corners of its boxes (centre and size in pixels)."""

from __future__ import annotations

from enum import IntEnum, nonmember

from torch import Tensor


class Output(IntEnum):
    """Columns of outputs [..., 5 + classes], raw or decoded; the first four are those of boxes [..., 4] too."""

    CX = 0
    CY = 1
    W = 2
    H = 3
    OBJECTNESS = 4

    CENTRE = nonmember(slice(CX, W))
    SIZE = nonmember(slice(W, OBJECTNESS))
    BOX = nonmember(slice(CX, OBJECTNESS))
    SCORES = nonmember(slice(OBJECTNESS, None))
    CLASSES = nonmember(slice(OBJECTNESS + 1, None))


class Target(IntEnum):
    """Columns of targets [..., 7]."""

    CLASS_ID = 0
    CX = 1
    CY = 2
    W = 3
    H = 4
    OBJECTNESS = 5
    CLASS_CONFIDENCE = 6

    BOX = nonmember(slice(CX, OBJECTNESS))
    SCORES = nonmember(slice(OBJECTNESS, None))


def corners(box: Tensor) -> tuple[Tensor, Tensor]:
    """Top-left and bottom-right corners [..., 2] of boxes [..., >= 4] (cx, cy, w, h, ...)."""
    centre, half = box[..., Output.CENTRE], box[..., Output.SIZE] / 2
    return centre - half, centre + half
