"""Readers of recordings."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from data.events.formats.dat import write_dat
from data.events.formats.evt_write import write_evt
from data.events.formats.hdf5 import write_hdf5
from data.events.open import open_recording
from data.events.types import Events
from scripts.soak.readers.aedat4_sample import aedat4_bytes
from scripts.soak.readers.reader import HW, Reader, in_folder


def _events(count: int = 300) -> Events:
    """Events in order over 0.3 s."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 300_000, count))
    return Events.from_arrays(
        t, rng.integers(0, HW[1], count), rng.integers(0, HW[0], count), rng.integers(0, 2, count)
    )


def _npz(path: Path) -> None:
    events = _events()
    np.savez(path, t=events.t, x=events.x, y=events.y, p=events.p, height=HW[0], width=HW[1])


def _rows(path: Path) -> None:
    events = _events()
    np.save(path, np.stack([events.t, events.x, events.y, events.p], axis=1).astype(np.float64))


def _records(path: Path) -> None:
    events = _events()
    rows = np.zeros(len(events), dtype=[("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
    for name in rows.dtype.names or ():
        rows[name] = getattr(events, name)
    np.save(path, rows)


def _csv(path: Path) -> None:
    events = _events()
    lines = [f"{t},{x},{y},{p}" for t, x, y, p in zip(events.t, events.x, events.y, events.p, strict=True)]
    path.write_text("\n".join(["t,x,y,p", *lines, ""]))


def _v2e(path: Path) -> None:
    events = _events()
    with h5py.File(path, "w") as file:
        rows = np.stack([events.t, events.x, events.y, events.p], axis=1)
        file.create_dataset("events", data=rows.astype(np.uint32), compression="gzip")


def _aedat4(path: Path) -> None:
    path.write_bytes(aedat4_bytes([(0, _events())], [(0, "EVTS", *HW)]))


def _read(path: Path) -> None:
    recording = open_recording(path)
    for _ in recording.chunks():
        pass
    recording.read(recording.t_first_us, recording.t_last_us)


READERS = tuple(
    Reader(f"events/{kind}", in_folder(f"a{suffix}", write), _read)
    for kind, suffix, write in (
        ("dat", ".dat", lambda path: write_dat(path, _events(), *HW)),
        ("evt2", ".raw", lambda path: write_evt(path, _events(), *HW, "EVT2")),
        ("evt2.1", ".raw", lambda path: write_evt(path, _events(), *HW, "EVT2.1")),
        ("evt3", ".raw", lambda path: write_evt(path, _events(), *HW, "EVT3")),
        ("hdf5", ".h5", lambda path: write_hdf5(path, _events(), *HW)),
        ("dsec", ".h5", lambda path: write_hdf5(path, _events(), *HW, layout="dsec")),
        ("v2e", ".h5", _v2e),
        ("aedat4", ".aedat4", _aedat4),
        ("npz", ".npz", _npz),
        ("npy", ".npy", _records),
        ("rows", ".npy", _rows),
        ("csv", ".csv", _csv),
    )
)
