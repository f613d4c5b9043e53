"""Recordings: one view of every file format."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data.events.formats.dat as dat_module
from data.events.chunked import ChunkedRecording, concatenate
from data.events.formats.dat import RECORD, write_dat
from data.events.open import open_recording
from data.events.types import Events
from tests.helpers.recordings.recording_files import FIELDS, aedat4_bytes, assert_same
from utils.errors import UserError


def events_of(times: list[int]) -> Events:
    n = len(times)
    return Events.from_arrays(times, np.arange(n) % 30, np.arange(n) % 20, np.arange(n) % 2)


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.integers(-3, 20), min_size=1, max_size=60).map(lambda steps: np.cumsum(steps).clip(0).tolist())
    | st.lists(st.integers(0, 500), min_size=1, max_size=9),
    windows=st.lists(st.tuples(st.integers(-5, 510), st.integers(0, 300)), min_size=1, max_size=5),
)
def test_windows_of_a_mapped_file_equal_windows_in_memory(times, windows, tmp_path_factory):
    path = tmp_path_factory.mktemp("r") / "seq_td.dat"
    write_dat(path, events_of(times), 20, 30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dat_module, "CHUNK", 7)
        expected = events_of(times).in_order()
        moved = int(np.count_nonzero(expected.t - events_of(times).t))
        if moved > len(times) / 2:
            with pytest.raises(UserError, match="in the order of their times"):
                open_recording(path)
            return
        recording = open_recording(path)
        assert isinstance(recording, ChunkedRecording)
        assert recording.report.times_back == moved
        assert recording.report.largest_step_back_us == int((expected.t - events_of(times).t).max())
        assert_same(concatenate(list(recording.chunks())), expected)
        assert (recording.t_first_us, recording.t_last_us) == (times[0], max(times))
        for t0, length in windows:
            assert_same(recording.read(t0, t0 + length), expected.window(t0, t0 + length))


def write_all_formats(folder, events: Events):
    """The same events in every format that can be written here, as paths."""
    write_dat(folder / "a_td.dat", events, 20, 30)
    columns = {name: getattr(events, name) for name in FIELDS}
    np.savez(folder / "a.npz", **columns, height=20, width=30)
    np.save(folder / "plain.npy", np.stack([columns[name].astype(np.int64) for name in FIELDS], axis=1))
    structured = np.zeros(len(events), dtype=[("x", "<u2"), ("y", "<u2"), ("p", "?"), ("t", "<i8")])
    for name in FIELDS:
        structured[name] = columns[name]
    np.save(folder / "structured.npy", structured)
    return sorted(folder.iterdir())


def test_formats_are_told_apart_by_content(tmp_path):
    events = events_of([3, 5, 5, 9, 40])
    for path in write_all_formats(tmp_path, events):
        disguised = path.rename(path.with_suffix(".bin"))
        recording = open_recording(disguised, (20, 30))
        assert (recording.height, recording.width, recording.num_events) == (20, 30, 5)
        assert recording.size_known == (path.suffix in {".dat", ".npz"})
        got = recording.read(5, 9)
        assert got.t.tolist() == [5, 5, 9]
        assert got.x.tolist() == [1, 2, 3]
        assert got.p.tolist() == [1, 0, 1]


def test_name_and_size_without_help(tmp_path):
    (tmp_path / "17-03-30_td.dat").write_bytes(
        b"% Version 2\n" + bytes((0, 8)) + np.array([(1, 29 | 4 << 14), (2, 5 | 19 << 14)], dtype=RECORD).tobytes()
    )
    recording = open_recording(tmp_path / "17-03-30_td.dat")
    assert (recording.name, recording.height, recording.width) == ("17-03-30", 20, 30)


def test_a_size_that_the_file_contradicts_is_a_user_error(tmp_path):
    write_dat(tmp_path / "a.dat", events_of([1]), 20, 30)
    with pytest.raises(UserError, match=r"sensor_hw=\[20,30\]"):
        open_recording(tmp_path / "a.dat", (30, 20))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty file"),
        (b"hello", "starts with"),
        (b"% date 2023\n% evt 3.0\n% format EVT3\n", "no events"),
        (b"PK\x03\x04broken", "unreadable"),
        (b"\x93NUMPYbroken", "unreadable"),
        (b"% Version 2\n\x0c\x08", "no events"),
    ],
)
def test_what_is_no_recording_is_a_user_error(tmp_path, content, says):
    (tmp_path / "a.dat").write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        open_recording(tmp_path / "a.dat")
    assert "a.dat" in caught.value.where


def test_arrays_of_another_form_are_user_errors(tmp_path):
    arrays = {
        "three columns": np.zeros((5, 3), dtype=np.int64),
        "columns in another order": np.array([[120, 1_672_932_172_785_744, 80, 1]]),
        "no events": np.zeros((0, 4), dtype=np.int64),
        "text": np.array([["a"] * 4]),
    }
    for name, array in arrays.items():
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(UserError):
            open_recording(tmp_path / "a.npy")
            pytest.fail(name)
    np.savez(tmp_path / "a.npz", t=[1, 2], x=[1, 2], y=[1])
    with pytest.raises(UserError, match="t, x, y"):
        open_recording(tmp_path / "a.npz")
    with pytest.raises(UserError, match="no such file"):
        open_recording(tmp_path / "none.npz")


def test_aedat4_takes_the_first_event_stream(tmp_path):
    first = Events.from_arrays([10**15, 10**15 + 5, 10**15 + 9], [3, 5, 7], [4, 6, 8], [1, 0, 1])
    other = Events.from_arrays([1], [9], [9], [1])
    streams = [(1, "FRME", 8, 8), (4, "EVTS", 99, 99), (0, "EVTS", 20, 30)]
    packets = [(0, first.slice(0, 2)), (4, other), (0, first.slice(2, 3))]
    (tmp_path / "a.aedat4").write_bytes(aedat4_bytes(packets, streams))
    recording = open_recording(tmp_path / "a.aedat4")
    assert (recording.height, recording.width, recording.size_known) == (20, 30, True)
    assert_same(recording.read(10**15, 10**15 + 9), first)


def test_aedat4_streams_that_the_package_does_not_know_are_passed_over_and_named(tmp_path, caplog):
    events = Events.from_arrays([5, 6, 7], [1, 2, 3], [4, 5, 6], [1, 0, 1])
    packets = [(7, events), (4, events.slice(0, 1)), (9, events), (4, events.slice(1, 3))]
    streams = [(7, "BBOX", 10, 20), (4, "EVTS", 10, 20), (9, "KIND", 10, 20)]
    (tmp_path / "a.aedat4").write_bytes(aedat4_bytes(packets, streams))
    with caplog.at_level("INFO"):
        recording = open_recording(tmp_path / "a.aedat4")
    assert_same(recording.read(0, 9), events)
    note = "events are those of stream 4; there are also bounding boxes, KIND"
    assert caplog.messages == [f"{tmp_path}/a.aedat4: {note}"]
