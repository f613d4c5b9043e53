"""Every format holds the same events: round trips, files cut at any byte, damaged and random bytes."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import data.events.formats.columns as columns_module
import data.events.formats.csv_text as csv_module
import data.events.formats.dat as dat_module
import data.events.formats.evt as evt_module
from data.events.chunked import concatenate
from data.events.formats.csv_text import write_csv
from data.events.formats.dat import write_dat
from data.events.formats.evt_kernels import MOST_EVENTS
from data.events.formats.evt_write import write_evt
from data.events.formats.hdf5 import write_hdf5
from data.events.open import open_recording
from data.events.types import Events
from tests.helpers.recordings.recording_files import FIELDS, aedat4_bytes, assert_same, ordered_events, random_events
from utils.errors import UserError

HEIGHT, WIDTH = 720, 1280


def write_npz(path: Path, events: Events) -> None:
    columns = {name: getattr(events, name) for name in FIELDS}
    np.savez_compressed(path.open("wb"), **columns, height=HEIGHT, width=WIDTH)


def write_npy(path: Path, events: Events) -> None:
    np.save(path.open("wb"), np.stack([getattr(events, name).astype(np.int64) for name in FIELDS], axis=1))


def write_aedat4(path: Path, events: Events) -> None:
    packets = [(0, events.slice(start, start + 7)) for start in range(0, len(events), 7)]
    path.write_bytes(aedat4_bytes(packets, [(0, "EVTS", HEIGHT, WIDTH)]))


WRITERS = {
    "dat": lambda path, events: write_dat(path, events, HEIGHT, WIDTH),
    "EVT2": lambda path, events: write_evt(path, events, HEIGHT, WIDTH, "EVT2"),
    "EVT2.1": lambda path, events: write_evt(path, events, HEIGHT, WIDTH, "EVT2.1"),
    "EVT3": lambda path, events: write_evt(path, events, HEIGHT, WIDTH, "EVT3"),
    "prophesee": lambda path, events: write_hdf5(path, events, HEIGHT, WIDTH, "prophesee", compression="gzip"),
    "dsec": lambda path, events: write_hdf5(path, events, HEIGHT, WIDTH, "dsec"),
    "csv": lambda path, events: write_csv(path, events, HEIGHT, WIDTH, ","),
    "spaces": lambda path, events: write_csv(path, events, HEIGHT, WIDTH, " "),
    "npz": write_npz,
    "npy": write_npy,
    "aedat4": write_aedat4,
}
QUIET = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def small_pieces(monkeypatch):
    """Files of several pieces although they are small."""
    monkeypatch.setattr(dat_module, "CHUNK", 7)
    monkeypatch.setattr(columns_module, "CHUNK", 7)
    monkeypatch.setattr(evt_module, "CHUNK", 32)
    monkeypatch.setattr(csv_module, "BLOCK_BYTES", 64)


@pytest.mark.parametrize("kind", WRITERS)
@given(events=ordered_events(longest_gap=1 << 25), window=st.tuples(st.integers(0, 1 << 25), st.integers(0, 1 << 25)))
@QUIET
def test_every_format_keeps_every_event(kind, events, window, tmp_path, small_pieces):
    path = tmp_path / "recording"
    if kind == "EVT3" and len(events):  # its clock has 24 bits: a recording begins within the first turn
        events = Events(events.t - (events.t[0] >> 24 << 24), events.x, events.y, events.p)
    WRITERS[kind](path, events)
    if not len(events):
        with pytest.raises(UserError, match="no events"):
            open_recording(path, (HEIGHT, WIDTH))
        return
    recording = open_recording(path, (HEIGHT, WIDTH))
    assert_same(concatenate(list(recording.chunks())), events)
    t0 = int(events.t[0]) + window[0]
    assert_same(recording.read(t0, t0 + window[1]), events.window(t0, t0 + window[1]))
    assert recording.report.sound
    assert (recording.num_events, recording.duration_us) == (len(events), int(events.t[-1] - events.t[0]))


EVENTS = random_events(60, HEIGHT, WIDTH)


def open_or_refuse(path: Path) -> Events | None:
    """Events, or None where the file is refused with one message."""
    refused = None
    try:
        return concatenate(list(open_recording(path, (HEIGHT, WIDTH)).chunks()))
    except UserError as error:
        refused = error
    assert str(path) in refused.where
    assert "\n" not in refused.got
    return None


@pytest.mark.parametrize("kind", WRITERS)
@given(share=st.floats(0, 1, exclude_max=True))
@QUIET
def test_a_file_cut_at_any_byte_gives_its_beginning_or_a_message(kind, share, tmp_path, small_pieces):
    path = tmp_path / "recording"
    WRITERS[kind](path, EVENTS)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    events = open_or_refuse(path)
    if events is not None:
        assert kind in {"dat", "EVT2", "EVT2.1", "EVT3", "csv", "spaces", "aedat4"}
        n = len(events) - (kind in {"csv", "spaces"})  # of a text, the last number may be cut
        assert_same(events.slice(0, n), EVENTS.slice(0, n))


OURS = [kind for kind in WRITERS if kind not in {"aedat4", "prophesee", "dsec"}]
"""Formats whose bytes only code of ours interprets; the HDF5 library can crash on damaged tables of its own."""


@pytest.mark.parametrize("kind", OURS)
@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
@QUIET
def test_changed_bytes_give_events_or_a_message(kind, changes, tmp_path, small_pieces):
    path = tmp_path / "recording"
    WRITERS[kind](path, EVENTS)
    content = bytearray(path.read_bytes())
    for share, value in changes:
        content[int(share * len(content))] = value
    path.write_bytes(content)
    events = open_or_refuse(path)
    if events is not None:
        assert (np.diff(events.t) >= 0).all()
        assert (events.x < 1 << 15).all()


HEADS = (
    b"",
    b"% Version 2\n\x0c\x08",
    b"% evt 3.0\n",
    b"% evt 2.0\n% geometry 1280x720\n% end\n",
    b"% evt 2.1\n% format EVT21\n",
    b"#!AER-DAT4.0\r\n",
    b"PK\x03\x04",
    b"\x93NUMPY\x01\x00",
    b"\x89HDF\r\n\x1a\n",
    b"t,x,y,p\n",
    b"1 2 3 0\n",
)


@pytest.mark.parametrize("head", HEADS)
@given(tail=st.binary(max_size=300))
@QUIET
def test_random_bytes_behind_any_head_give_events_or_a_message(head, tail, tmp_path, small_pieces):
    path = tmp_path / "recording"
    path.write_bytes(head + tail)
    open_or_refuse(path)


@pytest.mark.parametrize("layout", ["prophesee", "dsec"])
@pytest.mark.parametrize(
    "compression",
    [{}, {"compression": "gzip"}, {"compression": "lzf"}, hdf5plugin.Blosc(), hdf5plugin.Zstd(), hdf5plugin.LZ4()],
    ids=["none", "gzip", "lzf", "blosc", "zstd", "lz4"],
)
def test_hdf5_filters(tmp_path, layout, compression):
    write_hdf5(tmp_path / "a", EVENTS, HEIGHT, WIDTH, layout, **compression)
    recording = open_recording(tmp_path / "a")
    assert (recording.height, recording.width) == (HEIGHT, WIDTH)
    assert_same(recording.read(0, 10**9), EVENTS)


def test_dsec_times_begin_at_their_offset_and_need_no_index(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("x", "y", "p"):
            file[f"events/{name}"] = np.array([1, 2], np.uint16)
        file["events/t"] = np.array([5, 9], np.uint32)
        file["t_offset"] = 10**12
    recording = open_recording(tmp_path / "a.h5", (480, 640))
    assert (recording.t_first_us, recording.t_last_us, recording.size_known) == (10**12 + 5, 10**12 + 9, False)


def test_npy_in_fortran_order_and_with_times_in_seconds(tmp_path, small_pieces):
    table = np.stack([EVENTS.t / 1e6, EVENTS.x, EVENTS.y, EVENTS.p], axis=1)
    for name, array in (("c", table), ("f", np.asfortranarray(table))):
        np.save(tmp_path / f"{name}.npy", array)
        assert_same(open_recording(tmp_path / f"{name}.npy", (HEIGHT, WIDTH)).read(0, 10**9), EVENTS)


def test_dat_times_go_on_when_their_clock_runs_over(tmp_path, small_pieces):
    times = [5, 2**31, 2**32 - 1, 3, 2**32 - 1, 4, 9, *range(10, 30)]
    write_dat(tmp_path / "a.dat", Events.from_arrays(times, [0] * 27, [0] * 27, [0] * 27), HEIGHT, WIDTH)
    recording = open_recording(tmp_path / "a.dat")
    got = concatenate(list(recording.chunks())).t.tolist()
    assert got[:7] == [5, 2**31, 2**32 - 1, 2**32 + 3, 2**32 + 3, 2**32 + 4, 2**32 + 9]
    assert recording.t_last_us == 2**32 + 29
    assert (recording.report.wraps, recording.report.times_back, recording.report.largest_step_back_us) == (1, 1, 4)


def peak_bytes(path: Path) -> int:
    """Largest memory while a recording is opened and read window by window, what is let go in circles included.

    A search for garbage in between would count what other tests left: ending that takes memory, too.
    """
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        recording = open_recording(path, (HEIGHT, WIDTH))
        for t0 in range(recording.t_first_us, recording.t_last_us, 1000):
            recording.read(t0, t0 + 999)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize("kind", ["dat", "EVT2", "EVT2.1", "EVT3", "dsec", "csv", "npz", "npy", "aedat4"])
def test_memory_does_not_grow_with_the_file(kind, tmp_path, monkeypatch):
    for module in (dat_module, columns_module):
        monkeypatch.setattr(module, "CHUNK", 256)
    monkeypatch.setattr(evt_module, "CHUNK", 512 * MOST_EVENTS.get(kind, 1))  # pieces of 1024 words
    monkeypatch.setattr(csv_module, "BLOCK_BYTES", 1 << 12)
    for n in (500, 4_000, 32_000):  # at one rate
        WRITERS[kind](tmp_path / str(n), random_events(n, HEIGHT, WIDTH, t_max=10 * n))
    peak_bytes(tmp_path / "500")  # warms up
    short, long = peak_bytes(tmp_path / "4000"), peak_bytes(tmp_path / "32000")
    for _ in range(2):  # what another thread or a library's first use adds once is not the file's
        if long >= 1.5 * short + 20_000:
            short, long = min(short, peak_bytes(tmp_path / "4000")), min(long, peak_bytes(tmp_path / "32000"))
    assert long < 1.5 * short + 20_000


@pytest.mark.parametrize("kind", ["dat", "EVT2", "EVT2.1", "EVT3", "csv", "aedat4", "npy"])
def test_few_events_outside_are_left_out_and_many_are_refused(tmp_path, caplog, kind):
    n = 400
    x = np.full(n, 10)
    x[[7, 200]] = 35
    events = Events.from_arrays(np.arange(n), x, np.full(n, 5), np.zeros(n))
    for width, refused in ((b"0030", None), (b"0010", "400 of 400 events outside it, the first ")):
        path = tmp_path / width.decode()
        WRITERS[kind](path, events)
        path.write_bytes(path.read_bytes().replace(b"1280", width))  # where the file states its size
        sensor_hw = (HEIGHT, int(width)) if kind == "npy" else None
        if refused:
            with pytest.raises(UserError, match=refused + r".*(byte|number) \d+"):
                open_recording(path, sensor_hw)
            continue
        recording = open_recording(path, sensor_hw)
        assert (recording.report.outside, recording.num_events, recording.width) == (2, n - 2, 30)
        assert_same(recording.read(6, 8), Events.from_arrays([6, 8], [10, 10], [5, 5], [0, 0]))
        assert caplog.text.count("2 events outside the sensor: left out") == 1
