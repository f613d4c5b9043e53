"""Reading and writing .dat events and raw boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.events.bbox import read_bbox_npy, write_bbox_npy
from data.events.formats.dat import RECORD, read_dat, read_dat_header, write_dat
from data.events.open import open_recording
from data.events.types import Events
from tests.helpers.recordings.recording_files import assert_same
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError


def raw_dat(header: str, event_type: int, words: list[tuple[int, int]]) -> bytes:
    return header.encode() + bytes((event_type, 8)) + np.array(words, dtype=RECORD).tobytes()


events_strategy = st.lists(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 1279), st.integers(0, 719), st.integers(0, 1)), max_size=50
)


@settings(max_examples=50, deadline=None)
@given(rows=events_strategy)
def test_dat_keeps_every_event(rows, tmp_path_factory):
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    events = Events.from_arrays(*table.T)
    path = tmp_path_factory.mktemp("dat") / "a_td.dat"
    write_dat(path, events, 720, 1280)
    assert_same(read_dat(path), events)
    header = read_dat_header(path)
    assert (header.height, header.width, header.event_type, header.num_events) == (720, 1280, 12, len(rows))


@pytest.mark.parametrize(
    ("header", "event_type", "word"),
    [
        ("% Data file containing CD events.\n% Version 2\n% Height 240\n% Width 304\n", 12, 303 | 239 << 14 | 1 << 28),
        (
            "% Data file containing Event2D events.\n% Version 2\n% Date 2017-10-31 11:29:21\n",
            0,
            303 | 239 << 14 | 1 << 28,
        ),
        ("% Version 1\n% Date 2014-01-01\n", 0, 303 | 239 << 9 | 1 << 17),
    ],
    ids=["type 12", "type 0 without size", "version 1"],
)
def test_dat_dialects(tmp_path, header, event_type, word):
    path = tmp_path / "a.dat"
    path.write_bytes(raw_dat(header, event_type, [(7, word), (9, 0)]))
    events = read_dat(path)
    assert events.t.tolist() == [7, 9]
    assert (events.x.tolist(), events.y.tolist(), events.p.tolist()) == ([303, 0], [239, 0], [1, 0])
    assert (read_dat_header(path).height is not None) == ("Height" in header)


def test_dat_times_begin_at_a_stated_t0(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(raw_dat("% Version 2\n% T0 5000000000\n", 12, [(7, 1), (9, 2)]))
    assert read_dat(path).t.tolist() == [5_000_000_007, 5_000_000_009]
    assert_same(open_recording(path).read(5_000_000_007, 5_000_000_009), read_dat(path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\x0c\x08" + bytes(16), "bytes without it"),
        (b"% Version 2\n", "without it"),
        (b"% Version 2", "without an end"),
        (raw_dat("% Version 2\n", 13, [(1, 1)]), "event type 13"),
        (raw_dat("% Version 2\n", 12, [(1, 1), (2, 2)])[:-3], "cut off"),
        (raw_dat("% Version 2\n% Height many\n", 12, [(1, 1)]), "many"),
    ],
)
def test_damaged_dat_is_a_user_error(tmp_path, content, says):
    path = tmp_path / "bad.dat"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        read_dat(path)
    assert str(path) in str(caught.value)


def test_missing_dat_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_dat(tmp_path / "none.dat")


@pytest.mark.parametrize(("t", "x"), [(2**32, 0), (-1, 0), (0, 160)])
def test_what_dat_cannot_hold_is_refused_and_leaves_no_file(tmp_path, t, x):
    path = tmp_path / "a.dat"
    with pytest.raises(UserError):
        write_dat(path, Events.from_arrays([t], [x], [0], [1]), 128, 160)
    assert list(tmp_path.iterdir()) == []


def test_window_takes_both_ends_and_order_is_restored():
    events = Events.from_arrays([0, 10, 5, 20, 20, 30], range(6), range(6), [1, -1, 0, 1, 1, 1]).in_order()
    assert events.t.tolist() == [0, 10, 10, 20, 20, 30]
    assert events.p.tolist() == [1, 0, 0, 1, 1, 1]
    assert events.window(10, 20).x.tolist() == [1, 2, 3, 4]
    assert len(events.window(31, 40)) == len(events.window(25, 21)) == 0
    assert len(Events.empty()) == 0


def test_events_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        Events.from_arrays([1, 2], [1], [1], [1])


OLD = np.dtype(
    [(n, f) for n, f in zip(("ts", "x", "y", "w", "h"), ("<u8", *["<f4"] * 4), strict=True)]
    + [("class_id", "u1"), ("confidence", "<f4"), ("track_id", "<u4")]
)
NEW = np.dtype(
    {
        "names": ["t", "x", "y", "w", "h", "class_id", "track_id", "class_confidence"],
        "formats": ["<i8", "<f4", "<f4", "<f4", "<f4", "<u4", "<u4", "<f4"],
        "offsets": [0, 8, 12, 16, 20, 24, 28, 32],
        "itemsize": 40,
    }
)


@pytest.mark.parametrize("dialect", [OLD, NEW], ids=["old", "new"])
def test_both_box_dialects_are_read_by_name(tmp_path, dialect):
    raw = np.zeros(2, dtype=dialect)
    names = dialect.names or ()
    raw[names[0]] = [33_000_001, 2**33]
    raw["x"], raw["w"], raw["class_id"] = 1.5, 20, 1
    raw["class_confidence" if "class_confidence" in names else "confidence"] = 0.5
    np.save(tmp_path / "a_bbox.npy", raw)
    boxes = read_bbox_npy(tmp_path / "a_bbox.npy")
    assert boxes.dtype == BBOX_DTYPE
    assert boxes["t"].tolist() == [33_000_001, 2**33]
    assert boxes["objectness"].tolist() == boxes["class_confidence"].tolist() == [0.5, 0.5]
    write_bbox_npy(tmp_path / "b_bbox.npy", raw)
    np.testing.assert_array_equal(read_bbox_npy(tmp_path / "b_bbox.npy"), boxes)


def test_damaged_boxes_are_user_errors(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros((3, 5)))
    (tmp_path / "text.npy").write_text("boxes")
    (tmp_path / "empty.npy").touch()
    for name, says in (("plain", "missing"), ("text", "unreadable"), ("empty", "unreadable"), ("none", "no such file")):
        with pytest.raises(UserError, match=says):
            read_bbox_npy(tmp_path / f"{name}.npy")


@pytest.mark.parametrize(
    ("field", "dtype", "value", "says"),
    [
        ("class_id", "<f4", 0.9, "class_id = 0.9 of box 1"),
        ("class_id", "<f4", np.nan, "class_id = nan of box 1"),
        ("class_id", "<i8", 2**32, "class_id = 4294967296 of box 1"),
        ("class_id", "<i4", -1, "class_id = -1 of box 1"),
        ("ts", "<i8", 3, "one of the fields t and ts"),
        ("x", "<c8", 1j, "complex ones in x"),
    ],
)
def test_a_box_that_would_be_stored_as_another_is_refused(tmp_path, field, dtype, value, says):
    kinds = {"t": "<i8", "x": "<f4", "y": "<f4", "w": "<f4", "h": "<f4", "class_id": "<u4"} | {field: dtype}
    raw = np.zeros(2, dtype=list(kinds.items()))
    raw[field][1] = value
    np.save(tmp_path / "a_bbox.npy", raw)
    with pytest.raises(UserError, match=says):
        read_bbox_npy(tmp_path / "a_bbox.npy")
