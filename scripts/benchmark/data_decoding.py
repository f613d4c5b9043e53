"""Million events a second from files of every format: opened and indexed, then read window by window.

For example:
  python scripts/benchmark/data_decoding.py --events 5000000 --repeats 5
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import hdf5plugin
import numpy as np

from data.events.formats.csv_text import write_csv
from data.events.formats.dat import write_dat
from data.events.formats.evt_write import write_evt
from data.events.formats.hdf5 import write_hdf5
from data.events.open import open_recording
from data.events.types import Events
from utils.commands.cli import run_command
from utils.errors import UserError

HEIGHT, WIDTH = 720, 1280
WINDOW_US = 50_000
_EVENTS_PER_US = 10
_SIDE_BY_SIDE = 4
_HDF5_CHUNK = 1 << 16
_ZSTD = hdf5plugin.Blosc(cname="zstd", clevel=1)

Row = dict[str, str | float]


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
            opened, read = _measure(path, repeats)
            note = f"{count} events, {size:.1f} bytes each"
            table.append({"name": f"open {name}", "value": count / opened / 1e6, "unit": "M events/s", "note": note})
            note = f"windows of {WINDOW_US // 1000} ms in order"
            table.append({"name": f"read {name}", "value": count / read / 1e6, "unit": "M events/s", "note": note})
            path.unlink()
    return table


def _measure(path: Path, repeats: int) -> tuple[float, float]:
    """Median processor seconds to open (one pass over all events) and to read all windows."""
    opened, read = [], []
    for _ in range(repeats + 1):
        start = time.process_time()
        recording = open_recording(path, (HEIGHT, WIDTH))
        middle = time.process_time()
        for begin in range(recording.t_first_us, recording.t_last_us + 1, WINDOW_US):
            recording.read(begin, begin + WINDOW_US - 1)
        opened.append(middle - start)
        read.append(time.process_time() - middle)
    return statistics.median(opened[1:]), statistics.median(read[1:])


def _run() -> None:
    parser = argparse.ArgumentParser(
        prog="data_decoding.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=5_000_000, help="events in each file (default: 5000000)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements, median taken (default: 5)")
    args = parser.parse_args()
    if min(args.events, args.repeats) < 1:
        raise UserError(
            expected="--events and --repeats from 1",
            got=f"{args.events} and {args.repeats}",
            where="command line",
            fix="give positive numbers",
        )
    for row in rows(args.events, args.repeats):
        print(f"{row['name']:28s} {row['value']:8.1f} {row['unit']}  {row['note']}")


def main() -> None:
    """Command line."""
    run_command(_run)


if __name__ == "__main__":
    main()
