"""Pillars of a detector that reads events: made from the events of a window, as many as there is room for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from data.payloads.pillars import PillarSettings, pillar_picture, window_pillars
from modules.live.frames import FrameMaker, RepresentationSettings, frame_hw
from modules.live.windows import FORMS, events_of
from utils.errors import UserError

log = logging.getLogger(__name__)


class EventSettings(RepresentationSettings):
    """As of frames, for who plays a recording to a detector: windows of the same length, but their events."""

    reads_events = True


class PillarMaker(FrameMaker):
    """Makes the pillars that a detector takes.

    Args:
        dataset: section ``dataset`` of its configuration.
        model: section ``model``.
        room: pillars of a polarity; later ones of a fuller window are left out.
    """

    def __init__(self, dataset: Mapping[str, Any], model: Mapping[str, Any], room: int) -> None:
        super().__init__(dataset)
        self.pillars, self._frame_hw, self._full = PillarSettings.of(model), frame_hw(dataset), False
        self.settings = EventSettings(**vars(self.settings))
        self.shape = (2, room, self.pillars.columns)
        self.dtype = np.dtype(np.float32)

    def frame(self, given: object) -> npt.NDArray[Any]:
        """Pillars [2, room, columns] of events (``modules.live.windows``), or an array that is such.

        Raises:
            UserError: neither, or events that no window of this camera holds.
        """
        events = events_of(given)
        if events is None:
            array = given.cpu().numpy() if isinstance(given, torch.Tensor) else given
            if isinstance(array, np.ndarray) and (array.shape, array.dtype) == (self.shape, self.dtype):
                return array
            raise UserError(
                expected=f"the events of a window ({FORMS})",
                got=f"{type(given).__name__} {list(getattr(given, 'shape', ()))}",
                where="what was given to the detector",
                fix="this model reads events, not frames: give arrays (x, y, t, p)",
            )
        self._check_events(events)
        out = np.zeros(self.shape, self.dtype)
        for side, table in zip(out, window_pillars(events, self.sensor_hw, self.pillars), strict=True):
            side[: len(table)] = table[: len(side)]
            if len(table) > len(side) and not self._full:
                self._full = True
                log.warning("a window has %d pillars, of which the first %d are looked at", len(table), len(side))
        return out

    def shown(self, frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Pillars as a picture [2, H, W] of their counts, darker ones first."""
        return pillar_picture(frame, self._frame_hw, self.pillars.size)
