"""EVT words by hand: what each of them means, headers of every dialect, clocks that run over."""

from __future__ import annotations

import numpy as np
import pytest

import data.events.formats.evt as evt_module
from data.events.chunked import concatenate
from data.events.formats.evt_header import read_evt_header
from data.events.formats.evt_write import write_evt
from data.events.open import open_recording
from data.events.types import Events
from tests.helpers.recordings.recording_files import assert_same
from utils.errors import UserError

HEADS = {
    "EVT3": b"% evt 3.0\n% geometry 1280x720\n",
    "EVT2": b"% evt 2.0\n% geometry 1280x720\n",
    "EVT2.1": b"% evt 2.1\n% geometry 1280x720\n",
}
TYPES = {"EVT2": "<u4", "EVT2.1": "<u8", "EVT3": "<u2"}


def words_file(path, kind: str, words: list[int], head: bytes | None = None):
    path.write_bytes((HEADS[kind] if head is None else head) + np.array(words, dtype=TYPES[kind]).tobytes())
    return path


def rows_of(recording) -> list[tuple[int, ...]]:
    events = concatenate(list(recording.chunks()))
    return [tuple(int(v) for v in row) for row in zip(events.t, events.x, events.y, events.p, strict=True)]


def test_evt2_words(tmp_path):
    words = [
        0x0 << 28 | 5 << 22 | 7 << 11 | 8,  # before the first time: left out
        0x8 << 28 | 3,
        0x1 << 28 | 5 << 22 | 7 << 11 | 8,
        0xA << 28 | 1,  # trigger
        0xE << 28,  # other
        0x0 << 28 | 63 << 22 | 1279 << 11 | 719,
        0x8 << 28 | 0xFFFFFFF,
        0x0 << 28,
        0x8 << 28 | 0,  # 2^34 µs: the clock begins anew
        0x1 << 28 | 1 << 22,
    ]
    recording = open_recording(words_file(tmp_path / "a.raw", "EVT2", words))
    high = 0xFFFFFFF << 6
    assert rows_of(recording) == [(197, 7, 8, 1), (255, 1279, 719, 0), (high, 0, 0, 0), ((1 << 34) + 1, 0, 0, 1)]
    assert (recording.height, recording.width) == (720, 1280)
    assert (recording.report.undated, recording.report.wraps, recording.report.unknown_words) == (1, 1, 0)


@pytest.mark.parametrize("swapped", [False, True])
def test_evt21_words(tmp_path, swapped):
    words = [
        0x8 << 60 | 2 << 32,
        0x1 << 60 | 9 << 54 | 32 << 43 | 5 << 32 | 0b1000_0000_0000_0000_0000_0000_0000_0101,
        0xA << 60,
        0x0 << 60 | 10 << 54 | 64 << 43 | 6 << 32 | 0b10,
    ]
    head = b"% evt 2.1\n% format EVT21;endianness=little;height=720;width=1280\n% end\n"
    if swapped:
        head = head.replace(b"little", b"legacy")
        words = [(word & 0xFFFFFFFF) << 32 | word >> 32 for word in words]
    recording = open_recording(words_file(tmp_path / "a.raw", "EVT2.1", words, head))
    assert rows_of(recording) == [(137, 32, 5, 1), (137, 34, 5, 1), (137, 63, 5, 1), (138, 65, 6, 0)]


def test_evt3_words(tmp_path):
    words = [
        0x2 << 12 | 5,  # before the first time and row: left out
        0x8 << 12 | 1,
        0x6 << 12 | 2,
        0x0 << 12 | 1 << 11 | 100,  # row with the bit of the second sensor half
        0x2 << 12 | 1 << 11 | 7,
        0x7 << 12 | 9,  # continued words, a trigger, others
        0xF << 12 | 9,
        0xA << 12 | 9,
        0xE << 12 | 9,
        0x3 << 12 | 0 << 11 | 20,
        0x4 << 12 | 0b1000_0000_0001,
        0x5 << 12 | 0b1000_0001,
        0x4 << 12 | 0b1,  # goes on behind 12 + 8 columns
        0x8 << 12 | 2,  # low bits are 0 until they are told
        0x2 << 12 | 8,
        0x8 << 12 | 2,  # repeated: nothing new
        0x6 << 12 | 3,
        0x8 << 12 | 2,
        0x2 << 12 | 9,
    ]
    recording = open_recording(words_file(tmp_path / "a.raw", "EVT3", words))
    first, second = 4096 + 2, 2 * 4096
    assert rows_of(recording) == [
        (first, 7, 100, 1),
        *[(first, x, 100, 0) for x in (20, 31, 32, 39, 40)],
        (second, 8, 100, 0),
        (second + 3, 9, 100, 0),
    ]
    assert recording.report.undated == 1


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 18])
def test_the_clock_of_evt3_runs_over_again_and_again(tmp_path, monkeypatch, chunk):
    """Also across pieces of the file, and not by a step back."""
    monkeypatch.setattr(evt_module, "CHUNK", 6 * chunk)
    highs = [4000, 4095, 0, 2000, 4090, 5, 4, 4095, 4095, 1, 3000, 3000, 20]
    words = [0]  # row 0
    for high in highs:
        words += [0x8 << 12 | high, 0x6 << 12 | 1, 0x2 << 12 | 3]
    recording = open_recording(words_file(tmp_path / "a.raw", "EVT3", words))
    rounds = [0, 0, 1, 1, 1, 2, 2, 1, 1, 2, 2, 2, 3]
    expected = [((wraps * 4096 + high) << 12) + 1 for wraps, high in zip(rounds, highs, strict=True)]
    times = [row[0] for row in rows_of(recording)]
    assert times == np.maximum.accumulate(expected).tolist()
    assert (recording.report.wraps, recording.report.times_back) == (3, 4)


@pytest.mark.parametrize(
    ("head", "kind", "hw"),
    [
        (b"% evt 3.0\n", "EVT3", None),
        (b"% evt 3.0\n% format EVT3\n% geometry 1280x720\n", "EVT3", (720, 1280)),
        (b"% format EVT3;height=720;width=1280\n% end\n", "EVT3", (720, 1280)),
        (b"% format EVT21;width=320;height=320\n% end\n", "EVT2.1", (320, 320)),
        (b"% evt 2.0\r\n% geometry 640x480\r\n", "EVT2", (480, 640)),
        (b"% evt 2.0\n% plugin_name hal_plugin_gen31_fx3\n% integrator_name Prophesee\n", "EVT2", (480, 640)),
        (b"% evt 2.1\n% plugin_name hal_plugin_imx636_evk4\n", "EVT2.1", (720, 1280)),
        (b"% evt 2.0\n% plugin_name hal_plugin_unheard_of\n", "EVT2", None),
    ],
)
def test_header_dialects(tmp_path, head, kind, hw):
    (tmp_path / "a.raw").write_bytes(head + bytes(8))
    header = read_evt_header(tmp_path / "a.raw")
    assert (header.format, header.hw or header.likely_hw, header.data_offset) == (kind, hw, len(head))


MADE_BY = b"% integrator_name Prophesee\n"


@pytest.mark.parametrize(
    ("lines", "swapped"),
    [
        (b"% endianness legacy\n", True),
        (b"% endianness little\n% system_ID 48\n", False),
        (b"% format EVT21;endianness=little\n% endianness legacy\n", False),
        (b"% system_ID 54\n", True),
        (b"% system_ID 55\n", False),
        (b"% system_ID 0\n", False),
        (b"% system_ID 48\n" + MADE_BY, True),
        (b"% system_ID 48\n% plugin_integrator_name Prophesee\n% camera_integrator_name Prophesee\n", True),
        (b"% system_ID 48\n% plugin_integrator_name Prophesee\n% camera_integrator_name Other\n", False),
        (b"% system_ID 48\n% integrator_name Other\n", False),
        (MADE_BY, False),
    ],
)
def test_the_order_of_the_halves_of_evt21_words(tmp_path, lines, swapped):
    (tmp_path / "a.raw").write_bytes(b"% evt 2.1\n" + lines + bytes(8))
    assert read_evt_header(tmp_path / "a.raw").swapped == swapped
    (tmp_path / "a.raw").write_bytes(lines.replace(b"EVT21", b"EVT3") + b"% evt 3.0\n" + bytes(8))
    assert not read_evt_header(tmp_path / "a.raw").swapped


@pytest.mark.parametrize("chunk", [6, 1 << 18])
def test_t0_is_added_to_all_times(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(evt_module, "CHUNK", chunk)
    words = [0, 8 << 12, 6 << 12 | 7, 2 << 12 | 3, 6 << 12 | 9, 2 << 12 | 4]
    recording = open_recording(words_file(tmp_path / "a.raw", "EVT3", words, HEADS["EVT3"] + b"% t0 5000000\n"))
    assert rows_of(recording) == [(5000007, 3, 0, 0), (5000009, 4, 0, 0)]
    with pytest.raises(UserError, match="'soon'"):
        open_recording(words_file(tmp_path / "a.raw", "EVT3", words, b"% evt 3.0\n% t0 soon\n"))


def test_a_size_that_follows_from_the_plugin_gives_way_to_a_stated_one(tmp_path):
    head = b"% evt 3.0\n% plugin_name hal_plugin_gen41_evk3\n"
    words_file(tmp_path / "a.raw", "EVT3", [0, 8 << 12, 2 << 12 | 3], head)
    for stated, hw in ((None, (720, 1280)), ((480, 640), (480, 640))):
        recording = open_recording(tmp_path / "a.raw", stated)
        assert (recording.height, recording.width, recording.size_known) == (*hw, stated is None)


def test_a_first_word_that_looks_like_a_header_line(tmp_path):
    body = b"%\x00\x01\x80" + b"\n\x20" * 2
    (tmp_path / "a.raw").write_bytes(b"% evt 3.0\n% end\n" + body)
    assert read_evt_header(tmp_path / "a.raw").data_offset == 16
    (tmp_path / "a.raw").write_bytes(b"% evt 3.0\n" + body)
    assert read_evt_header(tmp_path / "a.raw").data_offset == 10
    for kind, high in (("EVT2", 0x8000_2025), ("EVT2", 0x8070_2025), ("EVT3", 0x8025)):
        words = [high, *[0x0A0A_0A0A & (1 << 8 * np.dtype(TYPES[kind]).itemsize) - 1] * 3]
        words_file(tmp_path / "a.raw", kind, words)
        assert read_evt_header(tmp_path / "a.raw").data_offset == len(HEADS[kind])


def test_evt3_is_written_as_cameras_do(tmp_path):
    """Vectors of 12, 12 and 8 columns from a multiple of 32 on; a word for every 4096 µs, also across the turn."""
    columns = [33, 44, 45, 56, 63]
    start = (4094 << 12) + 5
    events = Events.from_arrays([start] * 5 + [start + (4 << 12)], [*columns, 7], [9] * 6, [1] * 5 + [0])
    write_evt(tmp_path / "a.raw", events, 20, 70, "EVT3")
    body = (tmp_path / "a.raw").read_bytes().partition(b"% end\n")[2]
    vector = [0x3 << 12 | 1 << 11 | 32, 0x4 << 12 | 1 << 1, 0x4 << 12 | 1 | 1 << 1, 0x5 << 12 | 1 | 1 << 7]
    first = [0x8 << 12 | 4094, 0x6 << 12 | 5, 9, *vector]
    highs = [0x8 << 12 | high for high in (4095, 0, 1, 2)]
    assert np.frombuffer(body, "<u2").tolist() == [*first, *highs, 0x6 << 12 | 5, 0x2 << 12 | 7]
    assert_same(open_recording(tmp_path / "a.raw").read(0, 1 << 25), events)


def test_a_word_cut_in_two_is_passed_over_and_reported(tmp_path, caplog):
    events = Events.from_arrays([1, 2], [3, 4], [5, 6], [0, 1])
    write_evt(tmp_path / "a.raw", events, 20, 30, "EVT2")
    (tmp_path / "a.raw").write_bytes((tmp_path / "a.raw").read_bytes()[:-3])
    recording = open_recording(tmp_path / "a.raw")
    assert_same(recording.read(0, 9), events.slice(0, 1))
    assert recording.report.cut_bytes == 1
    assert recording.report.warnings() == ["the file ends in the middle of an event: 1 bytes passed over"]
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == recording.report.warnings()


def test_few_strange_words_are_counted_and_many_are_refused(tmp_path):
    words = [0x8 << 12, 0, *[0x2 << 12 | 3] * 300]
    good = words_file(tmp_path / "a.raw", "EVT3", [*words, 0x9 << 12, 0xB << 12])
    report = open_recording(good).report
    assert (report.unknown_words, report.bad_offset) == (2, len(HEADS["EVT3"]) + 2 * len(words))
    with pytest.raises(UserError, match=f"at byte {len(HEADS['EVT3'])}"):
        open_recording(words_file(tmp_path / "b.raw", "EVT3", [0x9 << 12] * 5 + words))


@pytest.mark.parametrize("kind", ["EVT2", "EVT2.1", "EVT3"])
@pytest.mark.parametrize(
    ("t", "x"), [([5, 4], [1, 1]), ([-1, 4], [1, 1]), ([0, 1], [1, 30]), ([1 << 34, (1 << 34) + 1], [0, 0])]
)
def test_what_a_format_cannot_hold_is_refused_and_leaves_no_file(tmp_path, kind, t, x):
    with pytest.raises(UserError, match=kind):
        write_evt(tmp_path / "a.raw", Events.from_arrays(t, x, [0, 0], [0, 0]), 20, 30, kind)
    assert list(tmp_path.iterdir()) == []
