"""Arrays in the forms that other programs write: one array of all columns in an archive or a HDF5 file."""

from __future__ import annotations

import functools
import logging
import re

import h5py
import numpy as np
import pytest

from data.events.chunked import concatenate
from data.events.formats import columns as columns_module
from data.events.formats.columns import NAMES
from data.events.formats.hdf5 import write_hdf5
from data.events.open import open_recording
from data.preprocessing.dataset import preprocess_dataset
from tests.helpers.commands import REPOSITORY
from tests.helpers.recordings.raw_recordings import config, make_raw
from tests.helpers.recordings.recording_files import FIELDS, assert_same, random_events
from utils.errors import UserError

HW = (20, 30)
EVENTS = random_events(60, *HW)
TABLE = np.stack([getattr(EVENTS, name).astype(np.int64) for name in FIELDS], axis=1)
RECORDS = np.zeros(len(EVENTS), dtype=[("x", "<u2"), ("y", "<u2"), ("timestamp", "<f8"), ("polarity", "?")])
RECORDS["x"], RECORDS["y"] = EVENTS.x, EVENTS.y
RECORDS["timestamp"], RECORDS["polarity"] = EVENTS.t / 1e6, EVENTS.p


def test_every_name_of_a_column_is_on_the_page() -> None:
    page = (REPOSITORY / "docs" / "FORMATS.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([txyp]) \| (.*) \|$", page, flags=re.MULTILINE))
    for column, names in NAMES.items():
        assert re.findall(r"`(\w+)`", rows[column]) == list(names)
    assert "pols" in NAMES["p"]


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.csv"])
def test_times_with_fractions_are_told_and_so_is_a_rate_that_no_camera_has(tmp_path, caplog, name):
    caplog.set_level(logging.INFO)
    times = np.arange(1, 2001)[:, None] / 2
    table = np.hstack([times, np.ones((2000, 2)), np.arange(2000)[:, None] % 2])
    {
        "a.npz": lambda path: np.savez(path, **dict(zip("txyp", table.T, strict=True))),
        "a.npy": lambda path: np.save(path, table),
        "a.csv": lambda path: np.savetxt(path, table, fmt=("%.3f", "%d", "%d", "%d")),
    }[name](tmp_path / name)
    open_recording(tmp_path / name, HW)
    told, warned = caplog.records[-2:]
    assert told.getMessage().endswith("times with fractions: taken as seconds")
    assert warned.levelname == "WARNING"
    assert "2 events a second over 1000 s: times are most likely in ms" in warned.getMessage()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "arrays",
    [
        {"arr_0": TABLE},
        {"arr_0": RECORDS, "arr_1": np.zeros(3)},
        {"event_data": RECORDS, "height": 20, "width": 30},
        {"seconds": TABLE / [1e6, 1, 1, 1]},
        {"fortran": np.asfortranarray(TABLE.astype(np.uint32))},
    ],
    ids=lambda arrays: next(iter(arrays)),
)
def test_an_archive_of_one_array(tmp_path, monkeypatch, save, arrays):
    monkeypatch.setattr(columns_module, "CHUNK", 7)
    save(tmp_path / "a.npz", **arrays)
    recording = open_recording(tmp_path / "a.npz", HW)
    assert_same(concatenate(list(recording.chunks())), EVENTS)
    assert recording.size_known == ("height" in arrays)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"arr_0": TABLE[:, :3]}, r"int64 \[60, 3\]"),
        ({"arr_0": RECORDS[["x", "y"]]}, "t, p missing"),
        ({"first": TABLE, "second": TABLE}, "first, second: t, x, y, p missing"),
    ],
)
def test_an_archive_of_other_arrays_is_refused(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=says):
        open_recording(tmp_path / "a.npz", HW)


@pytest.mark.parametrize("table", [TABLE.astype(np.uint32), TABLE / [1e6, 1, 1, 1]], ids=["as in v2e", "seconds"])
def test_one_array_in_a_hdf5_file(tmp_path, table):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("events", data=table, maxshape=(None, 4), compression="gzip")
    assert_same(open_recording(tmp_path / "a.h5", HW).read(0, 10**6), EVENTS)


def test_hdf5_files_are_read_and_written_where_files_cannot_be_locked(tmp_path, monkeypatch):
    opened = h5py.File

    @functools.wraps(opened)
    def without_locks(*args, locking=None, **more):
        if locking is not False:
            raise BlockingIOError(37, "unable to lock file")
        return opened(*args, locking=locking, **more)

    monkeypatch.setattr(h5py, "File", without_locks)
    write_hdf5(tmp_path / "a.h5", EVENTS, *HW)
    assert_same(open_recording(tmp_path / "a.h5", HW).read(0, 10**6), EVENTS)
    make_raw(tmp_path / "raw", ("val",), per_split=1)
    preprocess_dataset(tmp_path / "raw", tmp_path / "out", config(), splits=["val"])
    assert [path.name for path in (tmp_path / "out" / "val").iterdir()] == ["s0"]
