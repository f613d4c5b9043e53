"""Sharpen long clips of large frames piece by piece, in memory that depends on the pieces alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.checks import require
from models.restoration.interface import Restorer

Window = tuple[slice, slice]
"""Rows and columns."""

Read = Callable[[int, int, Window], tuple[Tensor, Tensor | None]]
"""From first frame, last + 1 and window to blurred RGB in [0, 1] [B, T, 3, h, w] and spikes [B, T, K, h, w]."""


@dataclass(frozen=True, kw_only=True)
class TileSettings:
    """Size of the pieces. Where they overlap the mean counts.

    Args:
        frames: of a piece.
        side: its rows and columns, pixels.
        overlap_frames: that two pieces share.
        overlap: rows or columns that they share.

    Raises:
        UserError: a value that cannot be.
    """

    frames: int
    side: int
    overlap_frames: int
    overlap: int

    def __post_init__(self) -> None:
        for name, shared, usual in (("frames", "overlap_frames", 18), ("side", "overlap", 192)):
            whole, part = getattr(self, name), getattr(self, shared)
            key, beside = f"model.tiles.{name}", f"model.tiles.{shared}"
            require(isinstance(whole, int) and whole > 1, key, "a whole number from 2", whole, f"set {key}={usual}")
            right = isinstance(part, int) and 0 <= part < whole
            require(right, beside, f"a whole number from 0, below {key}={whole}", part, f"set {beside}=0")


def pieces(length: int, size: int, overlap: int) -> list[slice]:
    """Parts of equal size that cover a length; the last one begins earlier where it would end beyond.

    >>> pieces(10, 4, 1), pieces(3, 4, 1)
    ([slice(0, 4, None), slice(3, 7, None), slice(6, 10, None)], [slice(0, 3, None)])
    >>> pieces(11, 4, 1)[-1]
    slice(7, 11, None)
    """
    if length <= size:
        return [slice(0, length)]
    starts = [*range(0, length - size, size - overlap), length - size]
    return [slice(start, start + size) for start in starts]


@torch.no_grad()
def restored(
    restorer: Restorer, read: Read, length: int, size: tuple[int, int], tiles: TileSettings
) -> Iterator[Tensor]:
    """Sharp frames one after the other.

    Args:
        restorer: the network.
        read: gives parts of the clip.
        length: number of frames.
        size: height and width.
        tiles: size of the pieces.

    Yields:
        RGB [B, 3, H, W] of each frame, on the device of what is read.
    """
    spans = pieces(length, tiles.frames, tiles.overlap_frames)
    kept: list[Tensor] = []  # sums over pieces of frames that a piece to come shows again
    shown: list[int] = []  # pieces that each of them is the sum of
    for index, span in enumerate(spans):
        frames = _frames(restorer, read, span, size, tiles).unbind(1)
        for place, frame in enumerate(frames):
            if place < len(kept):
                kept[place], shown[place] = kept[place] + frame, shown[place] + 1
            else:
                kept.append(frame)
                shown.append(1)
        following = spans[index + 1].start if index + 1 < len(spans) else length
        for _ in range(following - span.start):
            yield kept.pop(0) / shown.pop(0)


def _frames(restorer: Restorer, read: Read, span: slice, size: tuple[int, int], tiles: TileSettings) -> Tensor:
    """All frames of a span of time [B, T, 3, H, W]."""
    total = weight = None
    for rows in pieces(size[0], tiles.side, tiles.overlap):
        for columns in pieces(size[1], tiles.side, tiles.overlap):
            blurred, spikes = read(span.start, span.stop, (rows, columns))
            part = restorer.restore(blurred, spikes).float()
            if total is None or weight is None:
                total = part.new_zeros(*part.shape[:-2], *size)
                weight = part.new_zeros(size)
            total[..., rows, columns] += part
            weight[rows, columns] += 1
    assert total is not None
    assert weight is not None
    return total.div_(weight)
