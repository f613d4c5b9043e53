"""Geometry of label rows [N, 8]: pure functions, one float32 tensor in, one out.

Pixel centres lie at whole numbers: a frame of height H and width W spans ``[0, W-1] x [0, H-1]``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from utils.boxes import Label

Size = tuple[int, int]
"""Height and width in pixels."""


def _with_corners(rows: Tensor, x0: Tensor, y0: Tensor, x1: Tensor, y1: Tensor) -> Tensor:
    out = rows.clone()
    Label.set_corners_(out, x0, y0, x1, y1)
    return out


def not_flat(rows: Tensor) -> Tensor:
    """Bool [N]: boxes that have width and height."""
    return (rows[:, Label.W] > 0) & (rows[:, Label.H] > 0)


def area(rows: Tensor) -> Tensor:
    """Width times height [N]."""
    return rows[:, Label.W] * rows[:, Label.H]


def clamp(rows: Tensor, size_hw: Size) -> Tensor:
    """Clip corners to ``[0, W-1] x [0, H-1]``; boxes that lie inside keep their exact numbers."""
    x0, y0, x1, y1 = Label.corners(rows)
    bottom, right = size_hw[0] - 1, size_hw[1] - 1
    inside = (x0 >= 0) & (y0 >= 0) & (x1 <= right) & (y1 <= bottom)
    clipped = _with_corners(rows, x0.clamp(0, right), y0.clamp(0, bottom), x1.clamp(0, right), y1.clamp(0, bottom))
    return torch.where(inside[:, None], rows, clipped)


def scale(rows: Tensor, size_hw: Size, factor: float) -> Tensor:
    """Multiply coordinates; the far corner stays within ``size * factor - 1``."""
    x0, y0, x1, y1 = (corner * factor for corner in Label.corners(rows))
    return _with_corners(rows, x0, y0, x1.clamp(max=size_hw[1] * factor - 1), y1.clamp(max=size_hw[0] * factor - 1))


def flip_lr(rows: Tensor, size_hw: Size) -> Tensor:
    """Mirror left and right: x becomes W - 1 - x - w."""
    out = rows.clone()
    Label.mirror_(out, size_hw[1])
    return out


def rotate(rows: Tensor, size_hw: Size, angle_deg: float) -> Tensor:
    """Rotate counter-clockwise (as seen) about (W//2, H//2): bounding boxes of the rotated corners, clamped."""
    centre_y, centre_x = size_hw[0] // 2, size_hw[1] // 2
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    x0, y0, x1, y1 = Label.corners(rows)
    dx = torch.stack((x0, x1, x0, x1)) - centre_x
    dy = torch.stack((y0, y0, y1, y1)) - centre_y
    x = centre_x + dx * cos + dy * sin
    y = centre_y - dx * sin + dy * cos
    return clamp(_with_corners(rows, x.amin(0), y.amin(0), x.amax(0), y.amax(0)), size_hw)


def zoom_window_hw(size_hw: Size, factor: float) -> Size:
    """Size of the zoom window: ``(int(H / factor), int(W / factor))``, at least one pixel."""
    return max(int(size_hw[0] / factor), 1), max(int(size_hw[1] / factor), 1)


def zoom_in(rows: Tensor, size_hw: Size, x0y0: tuple[int, int], factor: float) -> Tensor:
    """Enlarge the window at ``x0y0`` to the whole frame; boxes outside the window become flat.

    The window of the boxes is ``size / factor`` without rounding and ends one pixel early at the frame's far border,
    as in RVT; the frame itself is cut at ``zoom_window_hw``.
    """
    (left, top), (height, width) = x0y0, size_hw
    right = min(left + width / factor, width - 1) - 1
    bottom = min(top + height / factor, height - 1) - 1
    x0, y0, x1, y1 = Label.corners(rows)
    x0, x1 = ((x.clamp(left, max(left, right)) - left) * factor for x in (x0, x1))
    y0, y1 = ((y.clamp(top, max(top, bottom)) - top) * factor for y in (y0, y1))
    return _with_corners(rows, x0, y0, x1, y1)


def zoom_out(rows: Tensor, size_hw: Size, x0y0: tuple[int, int], factor: float) -> Tensor:
    """Shrink the frame by ``factor`` and put it at ``x0y0``; rounding never lets a box leave the frame."""
    out = scale(rows, size_hw, 1.0 / factor)
    out[:, Label.X] += x0y0[0]
    out[:, Label.Y] += x0y0[1]
    return clamp(out, size_hw)


def crop(rows: Tensor, x0y0: tuple[int, int], window_hw: Size, to_x0y0: tuple[int, int]) -> Tensor:
    """Cut the window at ``x0y0`` and put it at ``to_x0y0``; boxes are clipped to it, those outside become flat."""
    (left, top), (height, width) = x0y0, window_hw
    x0, y0, x1, y1 = Label.corners(rows)
    x0, x1 = (x.clamp(left, left + width - 1) - left + to_x0y0[0] for x in (x0, x1))
    y0, y1 = (y.clamp(top, top + height - 1) - top + to_x0y0[1] for y in (y0, y1))
    return _with_corners(rows, x0, y0, x1, y1)


def undo_zoom_in(rows: Tensor, x0y0: tuple[int, int], factor: float) -> Tensor:
    """Inverse of ``zoom_in`` for what was inside the window."""
    out = rows.clone()
    out[:, Label.XYWH] /= factor
    out[:, Label.X] += x0y0[0]
    out[:, Label.Y] += x0y0[1]
    return out


def undo_zoom_out(rows: Tensor, x0y0: tuple[int, int], factor: float) -> Tensor:
    """Inverse of ``zoom_out``."""
    out = rows.clone()
    out[:, Label.X] -= x0y0[0]
    out[:, Label.Y] -= x0y0[1]
    out[:, Label.XYWH] *= factor
    return out
