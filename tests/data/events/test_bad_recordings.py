"""Files that are no recording: each gets one message, with its place where there is one, at once."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import data.events.formats.evt as evt_module
from data.events.formats.dat import RECORD
from data.events.formats.evt_write import write_evt
from data.events.formats.hdf5 import ECF_FILTER, write_hdf5
from data.events.open import open_recording
from data.events.types import Events
from tests.helpers.recordings.recording_files import aedat4_bytes, random_events
from utils.errors import UserError

EVENTS = random_events(100)
SENSOR = (20, 30)
DAT = b"% Version 2\n% Height 20\n% Width 30\n"


def dat(head: bytes = DAT, kind: int = 12, size: int = 8, cut: int | None = None, times=(1, 2, 3), word=0) -> bytes:
    rows = np.array([(t, word) for t in times], dtype=RECORD).tobytes()
    return head + bytes((kind, size)) + rows[:cut]


def evt(head: bytes, body: bytes = bytes(16)) -> bytes:
    return head + body


def npy(array: np.ndarray, pickle: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=pickle)
    return out.getvalue()


def npz(pickle: bool = False, **arrays) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(np.asarray(array), pickle))
    return out.getvalue()


def packed(content: bytes, name: str = "readme.txt") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


def hdf5(write: Callable[[h5py.File], object]) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        write(file)
    return out.getvalue()


def dsec(**columns) -> bytes:
    def write(file: h5py.File) -> None:
        for name, values in columns.items():
            file[name if "_" in name else f"events/{name}"] = values

    return hdf5(write)


def unknown_filter(code: int) -> bytes:
    def write(file: h5py.File) -> None:
        kind = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((64,))
        properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((64,))
        h5py.h5d.create(file.create_group("CD").id, b"events", h5py.h5t.py_create(kind), space, properties)

    return hdf5(write)


def whole(write: Callable[[Path], object], tmp_path: Path) -> bytes:
    write(tmp_path / "whole")
    return (tmp_path / "whole").read_bytes()


COLUMNS = {name: getattr(EVENTS, name) for name in "txyp"}
OBJECTS = np.array([{}, None], dtype=object)

BAD: list[tuple[str, bytes, str]] = [
    ("an empty file", b"", "an empty file"),
    ("zeros", bytes(1000), "a file that starts with"),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(100), "a file that starts with"),
    ("prose", b"These are the events of Tuesday.\n", "a file that starts with"),
    ("a gzip file", gzip.compress(dat(), mtime=0), "a gzip file"),
    ("AEDAT 3", b"#!AER-DAT3.1\r\n", "an AEDAT 3 file"),
    ("AEDAT 2", b"#!AER-DAT2.0\r\n", "an AEDAT 2 file"),
    ("a ROS bag", b"#ROSBAG V2.0\n" + bytes(50), "a ROS bag"),
    ("an MCAP file", b"\x89MCAP0\r\n" + bytes(50), "an MCAP file"),
    # .dat
    ("dat: header only", b"% Version 2\n% Height 20\n", "24 bytes without it"),
    ("dat: header cut", b"% Version 2\n% Hei", "a header line without an end"),
    ("dat: no events", dat(times=()), "no events"),
    ("dat: event cut", dat(cut=21), "the last one begun at byte 53: the file is cut off"),
    ("dat: unknown event type", dat(kind=40), "event type 40 and event size 8"),
    ("dat: event size", dat(size=16), "event type 12 and event size 16"),
    ("dat: size is no number", dat(b"% Version 2\n% Height tall\n"), "'tall'"),
    ("dat: size 0", dat(b"% Version 2\n% Height 0\n% Width 30\n"), "'0'"),
    ("dat: size contradicts the sensor", dat(b"% Height 30\n% Width 20\n"), "30 rows and 20 columns"),
    ("dat: all events outside", dat(word=29 | 20 << 14), "3 of 3 events outside it, the first at byte 37"),
    ("dat: time decreasing", dat(times=range(90, 0, -1)), "89 of 90 events earlier than one before them, the first at"),
    # .raw
    ("evt: header only", b"% evt 3.0\n% geometry 30x20\n% end\n", "no events"),
    ("evt: version 4", evt(b"% evt 4.0\n% format EVT4\n% end\n"), "'% evt 4.0' and '% format EVT4'"),
    ("evt: two formats", evt(b"% evt 2.0\n% format EVT3\n% end\n"), "'% evt 2.0' and '% format EVT3'"),
    ("evt: size is none", evt(b"% evt 3.0\n% geometry wide\n"), "'wide' and ''"),
    ("evt: size too large", evt(b"% evt 3.0\n% geometry 9999x720\n"), "'9999' and '720'"),
    ("evt: half a size", evt(b"% format EVT3;height=720\n"), "'' and '720'"),
    ("evt: two sizes", evt(b"% format EVT3;height=20;width=30\n% geometry 20x30\n"), "'% geometry 20x30' and"),
    ("evt: size contradicts the sensor", evt(b"% evt 3.0\n% geometry 20x30\n"), "30 rows and 20 columns"),
    ("evt: other words", evt(b"% evt 3.0\n% end\n", b"\x00\x90" * 50), "50 of 50 words of .*, the first at byte 16"),
    ("evt: no time ever", evt(b"% evt 3.0\n% end\n", b"\x05\x20" * 50), "no events"),
    ("evt: time 0 is none", evt(b"% evt 3.0\n% t0 soon\n"), "'soon'"),
    # NumPy
    ("npy: text", npy(np.array([["a"] * 4])), "<U1 \\[1, 4\\]"),
    ("npy: three columns", npy(np.zeros((5, 3))), "float64 \\[5, 3\\]"),
    ("npy: three dimensions", npy(np.zeros((5, 4, 1))), "float64 \\[5, 4, 1\\]"),
    ("npy: nothing in it", npy(np.zeros((0, 4))), "no events"),
    ("npy: fields missing", npy(np.zeros(5, [("t", "i8"), ("x", "i2")])), "t, x: y, p missing"),
    ("npy: objects", npy(OBJECTS, pickle=True), "an array of Python objects"),
    ("npy: cut", npy(np.zeros((50, 4)))[:-40], "1600 bytes of events announced, it ends at byte 1688 after 1560"),
    ("npy: header cut", npy(np.zeros((50, 4)))[:40], "unreadable file \\(at byte 0"),
    ("npy: coordinate negative", npy(np.array([[1, 2, 3, 0], [2, -1, 3, 0]])), "x = -1 of event number 1"),
    ("npy: coordinate too large", npy(np.array([[1, 2, 70000, 0]])), "y = 70000 of event number 0"),
    ("npy: coordinate with a fraction", npy(np.array([[1, 2.5, 3, 0]])), "x = 2.5 of event number 0"),
    ("npy: NaN", npy(np.array([[1, 2, 3, 0], [np.nan, 2, 3, 0]])), "t = nan of event number 1"),
    ("npy: time beyond", npy(np.array([[1e30, 2, 3, 0]])), "of event number 0"),
    ("npz: not an archive", b"PK\x03\x04broken", "unreadable"),
    ("npz: no arrays", packed(b"hello"), "nothing: t, x, y, p missing"),
    ("npz: an array that is none", packed(b"hello", "t.npy"), "t: x, y, p missing"),
    ("npz: without t", npz(x=[1], y=[1], p=[1]), "x, y, p: t missing"),
    ("npz: unequal lengths", npz(t=[1, 2], x=[1, 2], y=[1], p=[0, 0]), "y of length 1"),
    ("npz: objects", npz(True, t=OBJECTS, x=[1, 2], y=[1, 2], p=[0, 0]), "t of type object"),
    ("npz: two dimensions", npz(t=[[1]], x=[[1]], y=[[1]], p=[[0]]), "t \\[1, 1\\]"),
    ("npz: numbers instead of arrays", npz(t=1, x=1, y=1, p=0), "t \\[\\]"),
    ("npz: size is none", npz(**COLUMNS, height=20.5, width=30), "float64"),
    ("npz: cut", npz(**COLUMNS)[:-30], "unreadable"),
    # HDF5
    ("hdf5: empty", hdf5(lambda file: None), "got: +nothing"),
    ("hdf5: other groups", hdf5(lambda file: file.create_dataset("frames", data=[1])), "got: +frames"),
    ("hdf5: a column missing", dsec(t=[1], x=[1], y=[1]), "p missing"),
    ("hdf5: unequal lengths", dsec(t=[1, 2], x=[1, 2], y=[1, 2], p=[0]), "p of length 1"),
    ("hdf5: NaN", dsec(t=[1.0, np.nan], x=[1, 1], y=[1, 1], p=[0, 0]), "t = nan of event number 1"),
    ("hdf5: text", dsec(t=["a"], x=["a"], y=["a"], p=["a"]), "t of type object"),
    ("hdf5: offset is none", dsec(t=[1], x=[1], y=[1], p=[0], t_offset=[1, 2]), "int64 \\[2\\]"),
    ("hdf5: ECF", unknown_filter(ECF_FILTER), "Prophesee's ECF filter"),
    ("hdf5: another filter", unknown_filter(4711), "HDF5 filter 4711"),
    ("hdf5: cut", dsec(**COLUMNS)[:-100], "unreadable"),
    ("hdf5: magic only", b"\x89HDF\r\n\x1a\n", "unreadable"),
    # AEDAT4
    ("aedat4: magic only", b"#!AER-DAT4.0\r\n", "at byte 0"),
    ("aedat4: header cut", aedat4_bytes([], [(0, "EVTS", 20, 30)])[:60], "is not there whole"),
    ("aedat4: no events", aedat4_bytes([], [(0, "EVTS", 20, 30)]), "no events"),
    ("aedat4: frames only", aedat4_bytes([], [(0, "FRME", 20, 30)]), "got: +frame"),
    ("aedat4: packet cut", aedat4_bytes([(0, EVENTS)], [(0, "EVTS", 20, 30)])[:-9], "after 0 events"),
    # text
    ("csv: three columns", b"1,2,3\n4,5,6\n", "3 columns without names"),
    ("csv: header only", b"t,x,y,p\n", "no events"),
    ("csv: header without t", b"x,y,p,u\n1,2,1,3\n", "t missing"),
    ("csv: NaN", b"t,x,y,p\n1,2,3,1\nnan,2,3,1\n", "'nan,2,3,1' at byte 16 \\(column 1 of the line\\)"),
    ("csv: negative coordinate", b"1,2,3,1\n2,-4,3,1\n", "'2,-4,3,1' at byte 8 \\(column 3 of the line\\)"),
    ("csv: coordinate with a fraction", b"1,2,3.25,1\n", "'1,2,3.25,1' at byte 0"),
    ("csv: a column less", b"1,2,3,1\n2,4,3\n5,6,7,1\n", "'2,4,3' at byte 8"),
    ("csv: a column more", b"1,2,3,1\n2,4,3,1,9\n", "'2,4,3,1,9' at byte 8"),
    ("csv: words between", b"1,2,3,1\n2,four,3,1\n", "'2,four,3,1' at byte 8"),
    ("csv: no polarity", b"1,2,3,9\n2,4,3,7\n", "other values in the third and in the fourth column"),
    ("csv: a time beyond", b"t,x,y,p\n99999999999999999999999,2,3,1\n", "at byte 8"),
    ("csv: a size that is none", b"# geometry 0x20\n1,2,3,1\n", "0, 20"),
    ("csv: all events outside", b"1,200,300,1\n2,200,300,0\n", "2 of 2 events outside it, the first number 0"),
    ("csv: time decreasing", b"9,2,3,1\n8,2,3,1\n7,2,3,1\n", "2 of 3 events earlier .* the first number 1"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_recording_gets_one_message(tmp_path, content, says):
    path = tmp_path / "recording"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        open_recording(path, SENSOR)
    assert caught.value.where == str(path)
    assert len(str(caught.value).splitlines()) == 4


def test_what_is_no_file(tmp_path):
    for path, says in (
        (tmp_path, "a folder"),
        (tmp_path / "none.raw", "no such file"),
        (tmp_path / "a" / "b", "no such"),
    ):
        with pytest.raises(UserError, match=says):
            open_recording(path, SENSOR)


def test_a_file_that_shrinks_after_it_was_opened(tmp_path, monkeypatch):
    """A read of events that are gone is a message, too, for formats that are decoded from the file."""
    monkeypatch.setattr(evt_module, "CHUNK", 256)
    big = random_events(5_000)
    for kind in ("EVT2", "EVT3"):
        write_evt(tmp_path / kind, big, *SENSOR, kind=kind)
        recording = open_recording(tmp_path / kind)
        with (tmp_path / kind).open("rb+") as handle:
            handle.truncate(1000)
        with pytest.raises(UserError, match="when read again"):
            for _ in range(2):
                list(recording.chunks())


def test_damage_inside_a_compressed_file_is_found(tmp_path):
    write_hdf5(tmp_path / "a.h5", random_events(5000), *SENSOR, compression="gzip")
    content = bytearray((tmp_path / "a.h5").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(UserError, match="unreadable"):
        open_recording(tmp_path / "a.h5", SENSOR)


def test_readable_although_something_is_missing(tmp_path):
    """DSEC without ms_to_idx, EVT and .dat without a size, arrays without one."""
    (tmp_path / "a").write_bytes(dsec(**COLUMNS))
    assert open_recording(tmp_path / "a").num_events == len(EVENTS)
    (tmp_path / "a").write_bytes(dat(b"% Version 2\n", word=29 | 19 << 14))
    assert (open_recording(tmp_path / "a").height, open_recording(tmp_path / "a").width) == SENSOR
    write_evt(tmp_path / "a", EVENTS, *SENSOR)
    body = (tmp_path / "a").read_bytes().partition(b"% end\n")[2]
    (tmp_path / "a").write_bytes(b"% evt 3.0\n" + body)
    assert open_recording(tmp_path / "a").num_events == len(EVENTS)
    assert isinstance(open_recording(tmp_path / "a", SENSOR).read(0, 10**6), Events)
