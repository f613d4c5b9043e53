"""Frames as payload: a window is one dense array [C, H, W]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.augmentation.frames import mover, reverse_time, same
from data.augmentation.intensity import IntensityState, jitter, overlay
from data.augmentation.state import AugmentationState
from data.payloads.base import Payload
from data.payloads.buffers import batch_memory
from data.payloads.frame_reader import FrameReader

Frames = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class FrameInputs:
    """Frames of a batch.

    Attributes:
        data: uint8, int8 or float16 [L, B, C, H, W]; zeros where padded.
    """

    data: Tensor

    @property
    def lanes(self) -> int:
        """Number of lanes B."""
        return self.data.shape[1]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.data.shape[-2], self.data.shape[-1]

    def picture(self, t: int, lane: int) -> Frames:
        """A frame as it is, on the host."""
        return self.data[t, lane].cpu().numpy()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same on a device."""
        return type(self)(self.data.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same in pinned memory."""
        return type(self)(self.data.pin_memory())

    def mirrored(self) -> Self:
        """The same lanes mirrored left to right."""
        return type(self)(self.data.flip(-1))

    def beside(self, other: Self) -> Self:
        """These lanes and then the other's."""
        return type(self)(torch.cat([self.data, other.data], dim=1))


class FramesPayload(Payload[Frames]):
    """Parts are arrays [n, C, H, W]."""

    file: ClassVar[str] = "h5"

    def open(self, path: Path) -> FrameReader:
        """Frames of one file."""
        return FrameReader(path)

    def empty(self, reader: FrameReader) -> Frames:
        """No frames, [0, C, H, W]."""
        return np.zeros((0, *reader.shape[1:]), dtype=reader.dtype)

    def size_hw(self, part: Frames) -> tuple[int, int]:
        """Height and width in pixels."""
        return part.shape[-2], part.shape[-1]

    def room(self, length: int, lanes: int, like: Frames) -> FrameInputs:
        """Memory for frames [L, B, C, H, W]."""
        return FrameInputs(batch_memory((length, lanes, *like.shape[1:]), like.dtype))

    def place(self, room: FrameInputs, lane: int) -> Frames:
        """Frames [L, C, H, W] of a lane."""
        return room.data.numpy()[:, lane]

    def read(
        self,
        reader: FrameReader,
        start: int,
        stop: int,
        reverse: bool,
        state: AugmentationState,
        out: Frames | None = None,
    ) -> Frames:
        """Frames, their pixels moved (nearest neighbour); reversed ones with their channels in reversed order.

        As many threads share the work as torch has in this process: one in a loader process.
        """
        shape, count = reader.shape[1:], stop - start
        if out is None or out.shape[1:] != shape or out.dtype != reader.dtype or len(out) < count:
            out = np.empty((max(count, 0), *shape), dtype=reader.dtype)
        frames = out[: max(count, 0)]
        move = mover(state, shape[1:])
        targets = frames
        if reverse:
            targets, move = reverse_time(frames), move or same
        reader.read_into(start, stop, targets, move, torch.get_num_threads())
        return frames

    def mixed(self, part: Frames, other: Frames, position: int, max_count: int | None) -> Frames:
        """Counts of both added, at most ``max_count``."""
        return overlay(part, other, position, max_count)

    def jittered(self, part: Frames, state: IntensityState, rng: np.random.Generator, max_count: int | None) -> Frames:
        """Other counts."""
        return jitter(part, state, rng, max_count)

    def stacked(
        self,
        parts: Sequence[Frames | None],
        length: int,
        like: Frames | None,
        room: FrameInputs | None = None,
    ) -> FrameInputs:
        """Frames of the lanes as [L, B, C, H, W], zeros where padded; [L, B, 0, 0, 0] without any."""
        like = next((part for part in parts if part is not None), like)
        if like is None:
            return FrameInputs(torch.zeros((length, len(parts), 0, 0, 0), dtype=torch.uint8))
        room = self.room(length, len(parts), like) if room is None else room
        target = room.data.numpy()
        for index, part in enumerate(parts):
            count = 0 if part is None else len(part)
            if part is not None and not np.may_share_memory(part, target):
                target[:count, index] = part
            target[count:, index] = 0
        return room
