"""Windows of raw events: their store, their moves, and the pillars of a batch."""

from __future__ import annotations

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from data.augmentation.frames import apply_to_frames
from data.augmentation.intensity import IntensityState
from data.augmentation.state import AugmentationState, Crop
from data.events.types import Events
from data.payloads.event_moves import in_reversed_time, mirrored, moved
from data.payloads.event_store import EventReader, EventWriter
from data.payloads.events import EventsPayload, EventWindows
from data.payloads.frame_reader import UnreadableFrames
from data.payloads.pillars import PillarSettings, voxelise, window_pillars
from utils.errors import UserError

HW, DT = (24, 40), 50_000
COUNTS = (300, 0, 1, 40_000, 7)
STATE = AugmentationState()
FIELDS = ("t", "x", "y", "p")


def window(count: int, seed: int = 0, dt_us: int = DT) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, dt_us + 1, count))
    return Events.from_arrays(
        t, rng.integers(0, HW[1], count), rng.integers(0, HW[0], count), rng.integers(0, 2, count)
    )


def same(one: Events, other: Events) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FIELDS)


def written(path: Path, dt_us: int = DT) -> tuple[list[Events], Path]:
    windows = [window(count, seed, dt_us) for seed, count in enumerate(COUNTS)]
    with h5py.File(path, "w") as file:
        writer = EventWriter(file, HW, dt_us)
        for number, events in enumerate(windows):
            start = 1_000_000 + number * dt_us
            writer.append(Events(events.t + start, events.x, events.y, events.p), start)
        writer.close()
    return windows, path


@pytest.mark.parametrize("dt_us", [DT, 200_000])
def test_what_is_read_is_what_was_written(tmp_path: Path, dt_us: int) -> None:
    windows, path = written(tmp_path / "events.h5", dt_us)
    reader = EventReader(path, half=True)
    assert (reader.shape, reader.read(0, 1).sensor_hw, reader.read(0, 1).dt_us) == ((5, 12, 20), HW, dt_us)
    for start, stop in itertools.combinations_with_replacement(range(6), 2):
        read = reader.read(start, stop)
        assert len(read) == stop - start
        assert all(itertools.starmap(same, zip(read.windows, windows[start:stop], strict=True)))
    with pytest.raises(UserError, match="windows 3 to 6"):
        reader.read(3, 6)


def test_a_missing_or_damaged_store_is_told_with_its_key(tmp_path: Path) -> None:
    _, path = written(tmp_path / "events.h5")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(UnreadableFrames, match="keep_events=true"):
        EventReader(path).read(0, 5)
    for bad in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(UnreadableFrames, match="no such file"):
            len(EventReader(bad))


def test_reversed_time_twice_is_the_window_again() -> None:
    events = window(500)
    back = in_reversed_time(events, DT)
    assert (np.diff(back.t) >= 0).all()
    assert back.p.sum() == len(events) - events.p.sum()
    assert same(in_reversed_time(back, DT), events)


@pytest.mark.parametrize(
    "state",
    [
        AugmentationState(hflip=True),
        AugmentationState(hflip=True, zoom="out", x0y0=(3, 2), factor=1.25),
        AugmentationState(crop=Crop((4, 6), (12, 20), (10, 3))),
        AugmentationState(angle_deg=90.0),
    ],
)
def test_events_go_where_frames_put_them(state: AugmentationState) -> None:
    """The picture of moved events is the moved picture, but for what shrinking throws together."""
    events = window(300)
    frame = np.zeros((1, *HW), np.uint8)
    frame[0, events.y, events.x] = 1
    wanted = apply_to_frames(frame, state)[0] > 0
    after = moved(events, HW, HW, state)
    got = np.zeros(HW, bool)
    got[after.y, after.x] = True
    if state.zoom == "out":  # frames leave out what events keep
        assert (wanted & ~got).sum() == 0
    elif state.angle_deg:  # about the middle of a pixel or its corner: a pixel apart at most
        assert abs(int(wanted.sum()) - int(got.sum())) <= 2
        assert (wanted & ~got).sum() == 0
    else:
        assert np.array_equal(wanted, got)


def test_a_batch_of_lanes_that_are_read_reversed_mirrored_and_mixed(tmp_path: Path) -> None:
    windows, path = written(tmp_path / "events.h5")
    settings = PillarSettings(size=64)
    payload = EventsPayload(settings, keep=True)
    reader = payload.open(path)
    part = payload.read(reader, 0, 4, True, STATE)
    assert all(same(a, in_reversed_time(b, DT)) for a, b in zip(part.windows, windows[3::-1], strict=True))
    mixed = payload.mixed(part, payload.read(reader, 0, 1, False, STATE), 1, None)
    assert [len(events) for events in mixed.windows] == [40_000, 301, 0, 300]
    inputs = payload.stacked([part, None, mixed], 5, None)
    assert (inputs.data.shape[:3], inputs.lanes, inputs.size_hw) == ((5, 3, 2), 3, HW)
    assert inputs.data.shape[3] == max(len(table) for table in window_pillars(part.windows[0], HW, settings))
    assert not inputs.data[4].any()
    assert not inputs.data[:, 1].any()
    for step, events in enumerate(part.windows):
        for side, table in enumerate(window_pillars(mirrored(events, HW[1]), HW, settings)):
            assert torch.equal(inputs.mirrored().data[step, 0, side, : len(table)], torch.from_numpy(table))
    picture = inputs.picture(0, 0)
    assert picture.shape == (2, *HW)
    assert picture.sum() == int((inputs.data[0, 0, :, :, -3] > 0).sum())
    both = inputs.beside(payload.stacked([part], 5, None))
    assert torch.equal(both.data[:, 3], inputs.data[:, 0])
    assert payload.stacked([None], 2, None).data.shape == (2, 1, 2, 1, 18)
    assert payload.window_bytes(reader) >= inputs.data[0, 0].nbytes


def test_intensity_loses_doubles_and_adds_events() -> None:
    payload, part = EventsPayload(PillarSettings()), EventWindows((window(4000),), HW, HW, DT)
    rng = np.random.default_rng(0)
    for state, share in ((IntensityState(dropout=0.5), 0.5), (IntensityState(scale=1.3), 1.3)):
        (after,) = payload.jittered(part, state, rng, None).windows
        assert abs(len(after) / 4000 - share) < 0.05
    (after,) = payload.jittered(part, IntensityState(noise=0.5), rng, None).windows
    assert abs(len(after) - 4000 - 480) < 100
    assert (np.diff(after.t) >= 0).all()


def test_pillars_of_windows_that_are_empty_or_of_one_polarity() -> None:
    settings = PillarSettings(size=64)
    assert [len(table) for table in window_pillars(Events.empty(), HW, settings)] == [0, 0]
    bright, dark = window_pillars(Events.from_arrays([5, 6, 9], [1, 2, 3], [0, 0, 0], [1, 1, 1]), HW, settings)
    assert np.array_equal(bright, dark)
    assert len(bright) == 2, "the last event lies behind the last bin"
    bright, _ = window_pillars(Events.from_arrays([5], [1], [7], [1]), HW, settings)
    assert bright.tolist() == [[1, 18, 0, *[0] * 12, 1, 18, 1]], "of one time: at the beginning"
    outside = Events.from_arrays([5, 6, 8], [1, 900, 2], [7, 7, 7], [1, 1, 1])
    assert len(window_pillars(outside, HW, settings)[0]) == 1


def test_a_pillar_keeps_its_first_points_and_a_full_table_ends_the_window() -> None:
    settings = PillarSettings(size=8, max_points=4, max_pillars=2)
    points = np.array([[1.5, 2, 0]] * 6 + [[3, 3, 1], [4, 4, 1], [1.2, 2.9, 2], [9, 9, 0]])
    table = voxelise(points, settings)
    assert table[:, -3:].tolist() == [[4, 2, 1], [1, 3, 3]]
    assert len(voxelise(points, PillarSettings(size=8))) == 3
    with pytest.raises(UserError, match=r"model\.pillars\.size"):
        PillarSettings(size=0)
