"""Million events a second from files of every format: opened and indexed, then read window by window.

For example:
  python scripts/benchmark/data.py --sections decoding --events 5000000
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import hdf5plugin
import numpy as np

from data.events.formats.csv_text import write_csv
from data.events.formats.dat import write_dat
from data.events.formats.evt_write import write_evt
from data.events.formats.hdf5 import write_hdf5
from data.events.open import open_recording
from data.events.recording import Recording
from data.events.types import Events
from scripts.benchmark.measure import CPU, Row, alternate

HEIGHT, WIDTH = 720, 1280
WINDOW_US = 50_000
_EVENTS_PER_US = 10
_SIDE_BY_SIDE = 4
_HDF5_CHUNK = 1 << 16
_ZSTD = hdf5plugin.Blosc(cname="zstd", clevel=1)


def synthetic_events(count: int, seed: int = 0) -> Events:
    """Events of an HD camera at 10 million a second, in runs side by side as edges make them."""
    rng = np.random.default_rng(seed)
    runs = -(-count // _SIDE_BY_SIDE)
    t = np.repeat(np.sort(rng.integers(0, max(1, count // _EVENTS_PER_US), runs)), _SIDE_BY_SIDE)[:count]
    x = rng.integers(0, WIDTH - 2 * _SIDE_BY_SIDE, runs)[:, None] + 2 * np.arange(_SIDE_BY_SIDE)
    y, p = (np.repeat(rng.integers(0, top, runs), _SIDE_BY_SIDE)[:count] for top in (HEIGHT, 2))
    return Events.from_arrays(t, x.reshape(-1)[:count], y, p)


def _write_npz(path: Path, events: Events) -> None:
    with path.open("wb") as handle:
        np.savez(handle, t=events.t, x=events.x, y=events.y, p=events.p, height=HEIGHT, width=WIDTH)


def _write_npy(path: Path, events: Events) -> None:
    columns = (events.t, events.x, events.y, events.p)
    with path.open("wb") as handle:
        np.save(handle, np.stack([column.astype(np.int64) for column in columns], axis=1))


WRITERS: dict[str, Callable[[Path, Events], None]] = {
    ".dat": lambda path, events: write_dat(path, events, HEIGHT, WIDTH),
    ".raw EVT2": lambda path, events: write_evt(path, events, HEIGHT, WIDTH, "EVT2"),
    ".raw EVT2.1": lambda path, events: write_evt(path, events, HEIGHT, WIDTH, "EVT2.1"),
    ".raw EVT3": lambda path, events: write_evt(path, events, HEIGHT, WIDTH, "EVT3"),
    ".h5 Prophesee": lambda path, events: write_hdf5(
        path, events, HEIGHT, WIDTH, "prophesee", chunks=(min(_HDF5_CHUNK, len(events)),)
    ),
    ".h5 DSEC, Blosc-zstd": lambda path, events: write_hdf5(
        path, events, HEIGHT, WIDTH, "dsec", chunks=(min(_HDF5_CHUNK, len(events)),), **_ZSTD
    ),
    ".npy [N, 4]": _write_npy,
    ".npz": _write_npz,
    ".csv": lambda path, events: write_csv(path, events, HEIGHT, WIDTH),
}
"""Formats by name; text is written with a tenth of the events. AEDAT4 is left out: nothing here writes it."""


def rows(events: int, repeats: int) -> list[Row]:
    """Measure every format on a file in a temporary folder, by processor time, file in the page cache.

    Args:
        events: in each file (text: a tenth).
        repeats: measurements, of which the median counts; one before them warms up.

    Returns:
        Two rows a format, with keys name, value (million events a second), unit, note.
    """
    table: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="decoding-") as folder:
        for name, write in WRITERS.items():
            path = Path(folder) / "recording"
            count = max(1, events // 10) if name == ".csv" else events
            write(path, synthetic_events(count))
            size = path.stat().st_size / count
            recording = open_recording(path, (HEIGHT, WIDTH))
            how = {
                "open": (partial(open_recording, path, (HEIGHT, WIDTH)), f"{count} events, {size:.1f} bytes each"),
                "read": (partial(_read, recording), f"windows of {WINDOW_US // 1000} ms in order"),
            }
            for what, (function, note) in how.items():
                speed = count / alternate({"": function}, 1, repeats, CPU)[""].cost / 1e6
                table.append({"name": f"{what} {name}", "value": speed, "unit": "M events/s", "note": note})
            path.unlink()
    return table


def _read(recording: Recording) -> None:
    """All windows."""
    for begin in range(recording.t_first_us, recording.t_last_us + 1, WINDOW_US):
        recording.read(begin, begin + WINDOW_US - 1)
