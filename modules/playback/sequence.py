"""Play preprocessed sequences back (RVT layout)."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.payloads.event_store import EventReader
from data.representations.names import known_kind
from data.sequences.layout import EV_DIR, FrameReader, SequencePaths
from modules.playback.sources import FrameFormat, Int64Array, regular_ticks
from utils.arrays import load_indices
from utils.errors import UserError

log = logging.getLogger(__name__)


def event_counts(frame: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(OFF, ON) events [2, h, w] of a frame [C, h, w].

    Stacked histograms [2 * bins, h, w] hold OFF bins before ON bins. In mixed-density stacks (int8) the last channel is
    the signed sum of all events; in voxel grids (float16) that is the sum of all channels.
    """
    if frame.dtype.kind != "u":
        total = frame[-1] if frame.dtype.kind == "i" else np.rint(frame.sum(axis=0, dtype=np.float32))
        total = total.astype(np.int64)
        return np.stack([np.maximum(-total, 0), np.maximum(total, 0)])
    return frame.reshape(2, -1, *frame.shape[1:]).sum(axis=1, dtype=np.int64)


class SequenceSource:
    """Frames of a preprocessed sequence.

    Args:
        paths: the sequence; half-resolution frames mean that the camera has twice their size.

    Raises:
        UserError: frames or their times are missing or contradict each other.
    """

    def __init__(self, paths: SequencePaths) -> None:
        self._reader, self._events, self._from_events = FrameReader(paths.h5), EventReader(paths.events), False
        frames, channels, height, width = self._reader.shape
        factor = 2 if paths.downsampled else 1
        self.name = paths.name
        self.height, self.width = factor * height, factor * width
        self.channels, self.dtype = channels, self._reader.dtype
        self.times = sequence_times(paths, frames)
        self.dt_us: float = window_length(self.times, paths.ev_repr_name)
        self.start_us, self.stop_us = int(self.times[0] - round(self.dt_us)), int(self.times[-1])

    def check_fits(self, needed: FrameFormat, taker: str) -> None:
        """Complain if a detector, called ``taker``, cannot take these frames, or lacks the events that it reads."""
        self._from_events = getattr(needed, "reads_events", False)
        if self._from_events:
            len(self._events)  # tells what is missing
            return
        kind = getattr(needed, "kind", "stacked_histogram")
        channels = known_kind(kind).channels_per_bin * needed.bins
        if channels != self.channels:
            raise UserError(
                expected=f"frames of {channels} channels ({kind}, {needed.bins} bins), as {taker} takes them",
                got=f"{self.channels} channels",
                where=self.name,
                fix="choose another representation of the sequence with --representation, or another checkpoint",
            )
        if abs(needed.dt_ms * 1000 - self.dt_us) > 0.02 * self.dt_us:
            got = self.dt_us / 1000
            log.warning("%s knows windows of %g ms; these last %g ms", taker, needed.dt_ms, got)

    def ticks(self, start_us: int, stop_us: int, step_us: float) -> Int64Array:
        """Times of the stored frames; ``step_us`` does not matter."""
        chosen = self.times[(self.times > start_us) & (self.times <= stop_us)]
        return chosen if len(chosen) else self.times[-1:]

    def _index(self, end_us: int) -> int:
        return max(int(np.searchsorted(self.times, end_us, side="right")) - 1, 0)

    def _frame(self, end_us: int) -> npt.NDArray[Any]:
        index = self._index(end_us)
        return self._reader.read(index, index + 1)[0]

    def counts(self, end_us: int, window_us: float) -> npt.NDArray[Any]:
        """(OFF, ON) events of the newest stored frame at ``end_us``; its window is what it is."""
        return event_counts(self._frame(end_us))

    def stack(self, end_us: int) -> Any:
        """The newest stored frame at ``end_us``, [C, h, w], or its events for a detector that reads them."""
        if self._from_events:
            index = self._index(end_us)
            return self._events.read(index, index + 1).windows[0]
        return self._frame(end_us)


def sequence_times(paths: SequencePaths, frames: int) -> Int64Array:
    """End of each frame's window, int64 [T] in µs, from ``timestamps_us.npy`` or, without it, from the name's dt.

    Raises:
        UserError: there are no frames, or times that do not fit them.
    """
    if frames == 0:
        raise UserError(
            expected="at least one frame", got="none", where=str(paths.h5), fix="preprocess the recording again"
        )
    if not paths.frame_timestamps.is_file():
        step = dt_of_name(paths.ev_repr_name)
        log.warning("%s is missing: taking a frame every %g ms", paths.frame_timestamps, step / 1000)
        return regular_ticks(0, round(frames * step), step)
    times = load_indices(paths.frame_timestamps)
    if len(times) != frames or bool((np.diff(times) <= 0).any()):
        raise UserError(
            expected=f"{frames} ascending frame times, as many as frames",
            got=f"{len(times)} times",
            where=str(paths.frame_timestamps),
            fix="preprocess the recording again",
        )
    return times


def dt_of_name(ev_repr_name: str) -> float:
    """Window length in µs that a representation's name tells; 50 ms (RVT) if it tells none.

    >>> dt_of_name("stacked_histogram_dt=20_nbins=10")
    20000.0
    """
    found = re.search(r"dt=(\d+(?:\.\d+)?)", ev_repr_name)
    return float(found.group(1)) * 1000.0 if found else 50_000.0


def window_length(times: Int64Array, ev_repr_name: str) -> float:
    """Mean distance of frames in µs, so that a video as long as the sequence comes out."""
    return float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else dt_of_name(ev_repr_name)


def find_representation(root: Path, wanted: str | None, frame_format: FrameFormat | None = None) -> str:
    """Name of the representation of a sequence to play.

    Args:
        root: the sequence's folder.
        wanted: asked for by name.
        frame_format: what a detector takes; chosen by name if the sequence has it.

    Raises:
        UserError: the sequence lacks ``wanted``, or has no representation.
    """
    names = sorted(folder.name for folder in (root / EV_DIR).iterdir() if folder.is_dir())
    if (wanted is not None and wanted not in names) or not names:
        raise UserError(
            expected=f"the representation '{wanted}'" if wanted else "a folder with event representations",
            got=", ".join(names) or "an empty folder",
            where=str(root / EV_DIR),
            fix="choose one with --representation" if names else "preprocess the recording again",
        )
    if wanted is not None:
        return wanted
    if frame_format is not None:
        needed = f"stacked_histogram_dt={frame_format.dt_ms:g}_nbins={frame_format.bins}"
        if needed in names:
            return needed
    stacked = [name for name in names if name.startswith("stacked_histogram")]
    return (stacked or names)[0]


def sequence_paths(root: Path, ev_repr_name: str, downsampled: bool | None = None) -> SequencePaths:
    """Paths of a sequence; without a wish for ``downsampled``, full resolution if it is there, else half.

    Raises:
        UserError: no frames at the resolution asked for.
    """
    full, half = SequencePaths(root, ev_repr_name, False), SequencePaths(root, ev_repr_name, True)
    if downsampled is None:
        paths = half if half.h5.is_file() and not full.h5.is_file() else full
    else:
        paths = half if downsampled else full
    if not paths.h5.is_file():
        other = full if paths is half else half
        raise UserError(
            expected=f"{paths.h5.name}"
            + (", the resolution that the checkpoint was trained at" if downsampled is not None else ""),
            got=f"{other.h5.name} only" if other.h5.is_file() else "no frames",
            where=str(paths.ev_dir),
            fix="preprocess the recording at this resolution",
        )
    return paths
