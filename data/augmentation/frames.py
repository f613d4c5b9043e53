"""Move the pixels of a lane's frames: nearest neighbour throughout, so counts stay counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from data.augmentation.state import AugmentationState
from data.labels.box_ops import zoom_window_hw

Frames = npt.NDArray[Any]
Move = Callable[[Frames, Frames], None]
_OUTSIDE = -1


def nearest_exact(out_size: int, in_size: int) -> npt.NDArray[np.int64]:
    """Source index of each output pixel when ``in_size`` pixels become ``out_size`` (torch's nearest-exact)."""
    scale = np.float32(in_size) / np.float32(out_size)
    source = np.floor((np.arange(out_size, dtype=np.float32) + np.float32(0.5)) * scale).astype(np.int64)
    return np.minimum(source, in_size - 1)


def _zoom_axis(extent: int, window: int, corner: int, state: AugmentationState) -> npt.NDArray[np.int64]:
    if state.zoom == "in":
        return corner + nearest_exact(extent, window)
    source = np.full(extent, _OUTSIDE, dtype=np.int64)
    if state.zoom == "out":
        source[corner : corner + window] = nearest_exact(window, extent)
        return source
    return np.arange(extent)


def _crop_axis(source: npt.NDArray[np.int64], start: int, count: int, to: int) -> npt.NDArray[np.int64]:
    out = np.full_like(source, _OUTSIDE)
    out[to : to + count] = source[start : start + count]
    return out


def _rotation_map(height: int, width: int, angle_deg: float) -> npt.NDArray[np.int64]:
    """Flat source index [H, W] of each pixel of the frame turned counter-clockwise about (W//2, H//2); -1 outside."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    dy, dx = np.meshgrid(np.arange(height) - height // 2, np.arange(width) - width // 2, indexing="ij")
    x = np.rint(width // 2 + dx * cos - dy * sin).astype(np.int64)
    y = np.rint(height // 2 + dx * sin + dy * cos).astype(np.int64)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return np.where(inside, y * width + x, _OUTSIDE)


def apply_to_frames(frames: Frames, state: AugmentationState) -> Frames:
    """Augmented copy (or the same array if nothing changes) of frames [..., H, W], any integer type."""
    move = mover(state, frames.shape[-2:])
    if move is None:
        return frames
    out = np.empty(frames.shape, dtype=frames.dtype)
    # Frame by frame, so that the pixels in between stay in the processor's cache.
    for source, target in zip(frames, out, strict=True) if frames.ndim > 3 else ((frames, out),):
        move(source, target)
    return out


def mover(state: AugmentationState, size_hw: tuple[int, ...]) -> Move | None:
    """What puts the pixels of a frame [..., H, W] into those of another; None if nothing changes."""
    if state.is_identity:
        return None
    height, width = size_hw
    window_hw = zoom_window_hw((height, width), state.factor)
    rows = _zoom_axis(height, window_hw[0], state.x0y0[1], state)
    columns = _zoom_axis(width, window_hw[1], state.x0y0[0], state)
    if state.crop is not None:
        rows = _crop_axis(rows, state.crop.x0y0[1], state.crop.size_hw[0], state.crop.to_x0y0[1])
        columns = _crop_axis(columns, state.crop.x0y0[0], state.crop.size_hw[1], state.crop.to_x0y0[0])
    if state.angle_deg == 0.0:
        return _separable(rows, columns, state.hflip)
    turned = _rotation_map(height, width, state.angle_deg)
    source = np.where((rows[:, None] < 0) | (columns[None, :] < 0), _OUTSIDE, turned[rows][:, columns])
    if state.hflip:
        source = np.where(source < 0, _OUTSIDE, source - 2 * (source % width) + width - 1)
    picked, outside = np.maximum(source, 0), source < 0

    def turn(frame: Frames, out: Frames) -> None:
        out[...] = np.take(frame.reshape(*frame.shape[:-2], height * width), picked, axis=-1)
        out[..., outside] = 0

    return turn


def same(frame: Frames, out: Frames) -> None:
    """Put a frame into another as it is."""
    out[...] = frame


def _mirror(frame: Frames, out: Frames) -> None:
    out[...] = torch.from_numpy(frame).flip(-1).numpy()  # by whole registers, where NumPy goes pixel by pixel


def _separable(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], hflip: bool) -> Move:
    height, width = len(rows), len(columns)
    if np.array_equal(rows, np.arange(height)) and np.array_equal(columns, np.arange(width)):
        return _mirror if hflip else same
    (in_y,), (in_x,) = np.nonzero(rows >= 0), np.nonzero(columns >= 0)
    if len(in_y) == 0 or len(in_x) == 0:
        return lambda frame, out: out.fill(0)
    rows, columns = rows[in_y], columns[in_x]
    if hflip:
        columns = width - 1 - columns
    filled = len(in_y) == height and len(in_x) == width
    from data.augmentation.gather import gather  # numba is loaded only where it is needed

    def pick(frame: Frames, out: Frames) -> None:
        if not filled:
            out[...] = 0
        part = out[..., in_y[0] : in_y[-1] + 1, in_x[0] : in_x[-1] + 1]
        gather(*((frame, rows, columns, part) if frame.ndim == 3 else (frame[None], rows, columns, part[None])))

    return pick


def reverse_time(frames: Frames) -> Frames:
    """View of frames [L, C, H, W] in reversed time order, each with reversed channels (bins and polarity; LEOD)."""
    return frames[::-1, ::-1]
