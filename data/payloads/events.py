"""Raw events as payload: a window is the events of it, and what a network gets is pillars of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.augmentation.intensity import IntensityState
from data.augmentation.state import AugmentationState
from data.payloads.base import Payload
from data.payloads.event_moves import in_reversed_time, jittered, joined, mirrored, moved
from data.payloads.event_store import EventReader, EventWindows, Size
from data.payloads.pillars import POLARITIES, PillarSettings, pillar_picture, window_pillars


@dataclass(frozen=True)
class EventInputs:
    """Pillars of a batch.

    Attributes:
        data: float32 [L, B, 2, P, columns], brighter events first; rows without points fill up what is there.
        size_hw: height and width that boxes are told in.
        parts: the windows of each lane, where mirrored ones are wanted; else nothing.
        settings: how pillars are made.
    """

    data: Tensor
    size_hw: Size
    settings: PillarSettings
    parts: tuple[EventWindows | None, ...] = ()

    @property
    def lanes(self) -> int:
        """Number of lanes B."""
        return self.data.shape[1]

    def picture(self, t: int, lane: int) -> npt.NDArray[np.uint8]:
        """Counts of pillars [2, H, W], darker ones first."""
        return pillar_picture(self.data[t, lane].cpu().numpy(), self.size_hw, self.settings.size)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The pillars on a device; events stay on the host."""
        return replace(self, data=self.data.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The pillars in pinned memory."""
        return replace(self, data=self.data.pin_memory())

    def mirrored(self) -> Self:
        """Pillars of the events mirrored left to right, which are not the pillars mirrored."""
        assert len(self.parts) == self.lanes, "events are kept where mirrored windows are wanted"
        flipped = tuple(None if part is None else _mirrored(part) for part in self.parts)
        data = _pillars(flipped, len(self.data), self.settings)
        return replace(self, data=data.to(self.data.device), parts=flipped)

    def beside(self, other: Self) -> Self:
        """These lanes and then the other's."""
        most = max(self.data.shape[3], other.data.shape[3])
        both = [torch.nn.functional.pad(part.data, (0, 0, 0, most - part.data.shape[3])) for part in (self, other)]
        return replace(self, data=torch.cat(both, dim=1), parts=(*self.parts, *other.parts))


@dataclass(frozen=True)
class EventsPayload(Payload[EventWindows]):
    """Parts are windows of events.

    Args:
        settings: how pillars are made.
        half: boxes are told in pixels of twice the size.
        keep: batches keep their events, for mirrored views.
    """

    settings: PillarSettings
    half: bool = False
    keep: bool = False
    file: ClassVar[str] = "events"

    def open(self, path: Path) -> EventReader:
        """Events of one file."""
        return EventReader(path, self.half)

    def empty(self, reader: EventReader) -> EventWindows:
        """No windows."""
        return reader.read(0, 0)

    def size_hw(self, part: EventWindows) -> Size:
        """Height and width that boxes are told in."""
        return part.frame_hw

    def window_bytes(self, reader: EventReader) -> int:
        """As if each event of the fullest window made a pillar."""
        most = min(reader.largest, self.settings.max_pillars, self.settings.size**2)
        return 4 * POLARITIES * max(most, 1) * self.settings.columns

    def room(self, length: int, lanes: int, like: EventWindows) -> None:
        """None: how much memory a batch needs shows when its events are read."""

    def place(self, room: None, lane: int) -> Any:
        """Nowhere."""
        return None

    def read(
        self,
        reader: EventReader,
        start: int,
        stop: int,
        reverse: bool,
        state: AugmentationState,
        out: EventWindows | None = None,
    ) -> EventWindows:
        """Windows, moved; reversed ones in reversed order, each with its times mirrored and its polarities swapped."""
        part = reader.read(start, stop)
        windows = [moved(events, part.sensor_hw, part.frame_hw, state) for events in part.windows]
        if reverse:
            windows = [in_reversed_time(events, part.dt_us) for events in windows[::-1]]
        return replace(part, windows=tuple(windows))

    def mixed(self, part: EventWindows, other: EventWindows, position: int, max_count: int | None) -> EventWindows:
        """Events of both, by time."""
        windows = list(part.windows)
        for index, events in enumerate(other.windows, position):
            windows[index] = joined(windows[index], events)
        return replace(part, windows=tuple(windows))

    def jittered(
        self, part: EventWindows, state: IntensityState, rng: np.random.Generator, max_count: int | None
    ) -> EventWindows:
        """More and fewer events."""
        changed = (jittered(events, part.sensor_hw, part.dt_us, state, rng) for events in part.windows)
        return replace(part, windows=tuple(changed))

    def stacked(
        self,
        parts: Sequence[EventWindows | None],
        length: int,
        like: EventWindows | None,
        room: None = None,
    ) -> EventInputs:
        """Pillars of the lanes; [L, B, 2, 0, columns] without any lane that could tell their size."""
        like = next((part for part in parts if part is not None), like)
        size_hw = (0, 0) if like is None else like.frame_hw
        kept = tuple(parts) if self.keep else ()
        return EventInputs(_pillars(parts, length, self.settings), size_hw, self.settings, kept)


def _mirrored(part: EventWindows) -> EventWindows:
    return replace(part, windows=tuple(mirrored(events, part.sensor_hw[1]) for events in part.windows))


def _pillars(parts: Sequence[EventWindows | None], length: int, settings: PillarSettings) -> Tensor:
    """Pillars float32 [L, B, 2, P, columns] of the lanes; P is that of the fullest window, at least 1."""
    made = {
        (step, lane): window_pillars(events, part.sensor_hw, settings)
        for lane, part in enumerate(parts)
        if part is not None
        for step, events in enumerate(part.windows)
    }
    most = max((len(table) for tables in made.values() for table in tables), default=1) or 1
    out = torch.zeros((length, len(parts), POLARITIES, most, settings.columns))
    filled = out.numpy()
    for (step, lane), tables in made.items():
        for side, table in enumerate(tables):
            filled[step, lane, side, : len(table)] = table
    return out
