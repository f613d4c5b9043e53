"""The random decisions for one lane, drawn once per item or per streamed range and applied to all its frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.augmentation.config import AugmentationConfig
from data.labels import box_ops
from utils.boxes import Label

Size = tuple[int, int]
Zoom = Literal["none", "in", "out"]


class Crop(NamedTuple):
    """A window of the frame and the place it goes to, pixels.

    Attributes:
        x0y0: corner of the window ...
        size_hw: ... and its size.
        to_x0y0: corner of its place in the empty frame.
        min_visible: boxes of which a smaller share of the area is left are dropped.
    """

    x0y0: tuple[int, int]
    size_hw: Size
    to_x0y0: tuple[int, int]
    min_visible: float = 0.0


@dataclass(frozen=True)
class AugmentationState:
    """Where one lane's pixels go, applied in the order hflip, rotation, zoom, crop.

    Attributes:
        hflip: mirror left and right.
        angle_deg: counter-clockwise rotation; 0 is none.
        zoom: none, in or out.
        x0y0: corner of the window (in) or of the pasted frame (out), pixels.
        factor: zoom factor >= 1.
        crop: window that is left, and where; None for all.
    """

    hflip: bool = False
    angle_deg: float = 0.0
    zoom: Zoom = "none"
    x0y0: tuple[int, int] = (0, 0)
    factor: float = 1.0
    crop: Crop | None = None

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return not self.hflip and self.angle_deg == 0.0 and self.zoom == "none" and self.crop is None


def apply_to_labels(rows: Tensor, size_hw: Size, state: AugmentationState) -> tuple[Tensor, Tensor]:
    """Move boxes with the frames.

    Args:
        rows: label rows [N, 8].
        size_hw: frame size.
        state: what to do.

    Returns:
        Rows [n, 8] that are left, and the bool mask [N] of them.
    """
    if state.hflip:
        rows = box_ops.flip_lr(rows, size_hw)
    keep = torch.ones(len(rows), dtype=torch.bool)
    if state.angle_deg != 0.0:
        rows = box_ops.rotate(rows, size_hw, state.angle_deg)
        keep = keep & box_ops.not_flat(rows)
    if state.zoom == "in":
        rows = box_ops.zoom_in(rows, size_hw, state.x0y0, state.factor)
        keep = keep & box_ops.not_flat(rows)
    elif state.zoom == "out":
        rows = box_ops.zoom_out(rows, size_hw, state.x0y0, state.factor)
        keep = keep & box_ops.not_flat(rows)
    if state.crop is not None:
        whole = rows
        rows = box_ops.crop(rows, state.crop.x0y0, state.crop.size_hw, state.crop.to_x0y0)
        share = box_ops.area(rows) / box_ops.area(whole).clamp(min=1e-9)
        keep = keep & box_ops.not_flat(rows) & (share >= state.crop.min_visible)
    return rows[keep], keep


def sample_state(
    config: AugmentationConfig, rng: np.random.Generator, size_hw: Size, target_rows: Tensor
) -> AugmentationState:
    """Draw a state.

    Args:
        config: what may happen.
        rng: its random numbers; nothing else is random.
        size_hw: frame size.
        target_rows: boxes [n, 8] of the latest labelled frame before augmentation; zoom-in keeps one of them in view.
            Without boxes the window may lie anywhere.
    """
    # Always the same number of draws, so that a changed probability leaves the other decisions alone.
    draws = tuple(float(u) for u in rng.random(10))
    state = _sample_zoom(config, _sample_turn(config, draws[:4]), draws[4:], size_hw, target_rows)
    if config.crop.prob == 0.0:
        return state
    crop, tall, wide, choice, across, down, to_x, to_y = (float(u) for u in rng.random(8))
    if crop >= config.crop.prob:
        return state
    least = config.crop.min_share
    height, width = (max(round(n * (least + u * (1 - least))), 1) for n, u in zip(size_hw, (tall, wide), strict=True))
    box = _choose_box(target_rows, size_hw, state, choice)
    corner = _place((height, width), size_hw, box, (across, down))
    place = int(to_x * (size_hw[1] - width + 1)), int(to_y * (size_hw[0] - height + 1))
    return replace(state, crop=Crop(corner, (height, width), place, config.crop.min_visible))


def _sample_turn(config: AugmentationConfig, draws: tuple[float, ...]) -> AugmentationState:
    flip, turn, angle, sign = draws
    angle_deg = 0.0
    if turn < config.rotate.prob:
        low, high = config.rotate.min_deg, config.rotate.max_deg
        angle_deg = (low + angle * (high - low)) * (1.0 if sign < 0.5 else -1.0)
    return AugmentationState(hflip=flip < config.hflip, angle_deg=angle_deg)


def _sample_zoom(
    config: AugmentationConfig, before: AugmentationState, draws: tuple[float, ...], size_hw: Size, target_rows: Tensor
) -> AugmentationState:
    zoom, way, amount, choice, across, down = draws
    if zoom >= config.zoom.prob:
        return before
    weights = config.zoom.weight_in, config.zoom.weight_out
    if way * sum(weights) < weights[0]:
        factor = 1.0 + amount * (config.zoom.in_max - 1.0)
        box = _choose_box(target_rows, size_hw, before, choice)
        return replace(before, zoom="in", x0y0=place_window(size_hw, factor, box, (across, down)), factor=factor)
    factor = 1.0 + amount * (config.zoom.out_max - 1.0)
    height, width = box_ops.zoom_window_hw(size_hw, factor)
    corner = int(across * (size_hw[1] - width + 1)), int(down * (size_hw[0] - height + 1))
    return replace(before, zoom="out", x0y0=corner, factor=factor)


def _choose_box(target_rows: Tensor, size_hw: Size, state: AugmentationState, choice: float) -> list[float] | None:
    rows, _ = apply_to_labels(target_rows, size_hw, state)
    return rows[min(int(choice * len(rows)), len(rows) - 1), Label.XYWH].tolist() if len(rows) else None


def place_window(
    size_hw: Size, factor: float, box_xywh: list[float] | None, uniform_xy: tuple[float, float]
) -> tuple[int, int]:
    """Corner (x0, y0) of a zoom-in window that holds the box, or, if the box is larger, lies within it.

    Args:
        size_hw: frame size.
        factor: zoom factor; the window measures ``int(size / factor)``.
        box_xywh: the box to keep in view; None for any place.
        uniform_xy: two random numbers in [0, 1).
    """
    return _place(box_ops.zoom_window_hw(size_hw, factor), size_hw, box_xywh, uniform_xy)


def _place(
    window_hw: Size, size_hw: Size, box_xywh: list[float] | None, uniform_xy: tuple[float, float]
) -> tuple[int, int]:
    corner = []
    for axis, (extent, window) in enumerate(zip(size_hw[::-1], window_hw[::-1], strict=True)):
        low, high = 0.0, float(extent - window)
        if box_xywh is not None:
            start, end = box_xywh[axis], box_xywh[axis] + box_xywh[axis + 2]
            first, last = sorted((end - window + 1, start))
            low, high = (min(max(limit, low), high) for limit in (math.ceil(first), math.floor(last)))
        corner.append(int(low + uniform_xy[axis] * (max(high - low, 0.0) + 1.0)))
        corner[-1] = min(corner[-1], extent - window)
    return corner[0], corner[1]
