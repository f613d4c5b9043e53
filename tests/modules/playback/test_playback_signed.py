"""Stored frames with a sign play as darker and brighter events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.events.recording import ArrayRecording
from data.events.types import Events
from data.preprocessing.config import RepresentationConfig
from data.preprocessing.sequence import preprocess_recording
from data.sequences.layout import SequencePaths
from modules.playback.sequence import SequenceSource
from tests.helpers.recordings.raw_recordings import HW, boxes_at, config


@pytest.mark.parametrize("kind", ["mixed_density", "voxel_grid"])
def test_counts_of_signed_frames(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 200_000, 40))
    x = np.where(np.arange(40) % 2, 7, 20)  # one pixel gets brighter, another one darker
    recording = ArrayRecording("a", Events.from_arrays(t, x, np.full(40, 9), x == 7), HW)
    representation = RepresentationConfig(kind=kind, bins=5, count_cutoff=100)
    cfg = config(representation=representation, all_windows=True)
    preprocess_recording(recording, boxes_at([]), tmp_path / "a", cfg, "val")
    source = SequenceSource(SequencePaths(tmp_path / "a", representation.build().name))
    end = int(source.times[1])
    events = recording.read(end - 50_000, end)
    darker, brighter = source.counts(end, 50_000)
    assert brighter[9, 7] == np.count_nonzero(events.p)
    assert darker[9, 20] == np.count_nonzero(events.p == 0)
    assert darker.sum() + brighter.sum() == len(events)
