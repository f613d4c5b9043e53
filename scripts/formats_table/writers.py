"""Write the same events with other programs; runs where those are installed: ``writers.py EVENTS.npz FOLDER``.

Prints JSON: of each file its name, format and the program that wrote it.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

HEIGHT, WIDTH = 720, 1280
BOXES_APART_US = 50_000

Columns = dict[str, Any]
Written = tuple[str, str, str, Callable[[str], object]]
"""File, format, program, and what writes it."""


def records(columns: Columns, dtype: list[tuple[str, str]]) -> Any:
    """A structured array of fields in the order t, x, y, p, whatever they are called."""
    out = np.zeros(len(columns["t"]), dtype=dtype)
    for (name, _), column in zip(dtype, "txyp", strict=True):
        out[name] = columns[column]
    return out


def faery(columns: Columns) -> Iterator[Written]:
    """Times as they are, and with the first one in the header."""
    package = importlib.import_module("faery")
    events = records(columns, [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")]).astype(package.EVENTS_DTYPE)

    def write(path: str, version: str | None, zero: bool) -> None:
        package.events_stream_from_array(events, (WIDTH, HEIGHT)).to_file(path, version=version, zero_t0=zero)

    kinds = [("DAT 2", "dat2", "dat"), ("EVT 2.0", "evt2", "raw"), ("EVT 3.0", "evt3", "raw")]
    for name, version, suffix in kinds:
        yield f"faery_{version}.{suffix}", name, "faery", lambda path, v=version: write(path, v, False)
        yield f"faery_{version}_t0.{suffix}", f"{name}, `t0`", "faery", lambda path, v=version: write(path, v, True)
    yield "faery.csv", "text, `t,x@1280,y@720,on`", "faery", lambda path: write(path, None, True)
    yield "faery.aedat4", "AEDAT4, LZ4", "faery", lambda path: write(path, None, True)


def expelliarmus(columns: Columns) -> Iterator[Written]:
    """DAT, EVT 2.0 and EVT 3.0."""
    wizard = importlib.import_module("expelliarmus").Wizard
    events = records(columns, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
    for name, kind, suffix in (("DAT 2", "dat", "dat"), ("EVT 2.0", "evt2", "raw"), ("EVT 3.0", "evt3", "raw")):
        file = f"expelliarmus_{kind}.{suffix}"
        yield file, name, "expelliarmus", lambda path, k=kind: wizard(encoding=k).save(path, events)


def evlib(columns: Columns) -> Iterator[Written]:
    """Times in seconds."""
    package = importlib.import_module("evlib")
    x, y, p = (columns[name].astype(np.int64) for name in "xyp")
    seconds = columns["t"] / 1e6
    yield "evlib.h5", "HDF5, `events/xs`", "evlib", lambda path: package.save_events_to_hdf5(x, y, seconds, p, path)
    yield "evlib.txt", "text, seconds", "evlib", lambda path: package.save_events_to_text(x, y, seconds, p, path)


def dv_processing(columns: Columns) -> Iterator[Written]:
    """Events alone, and beside boxes, poses, key points and streams without packets."""
    dv = importlib.import_module("dv_processing")
    store = dv.EventStore()
    for t, x, y, p in zip(*(columns[name].tolist() for name in "txyp"), strict=True):
        store.push_back(t, x, y, bool(p))

    def write(path: str, compression: str, more: bool) -> None:
        config = dv.io.MonoCameraWriter.Config("camera")
        config.compression = getattr(dv.CompressionType, compression)
        config.addEventStream((WIDTH, HEIGHT))
        if more:
            config.addBoundingBoxStream()
            config.addPoseStream()
            config.addTimedKeyPointStream()
            config.addFrameStream((WIDTH, HEIGHT))
            config.addTriggerStream()
        writer = dv.io.MonoCameraWriter(path, config)
        writer.writeEvents(store)
        for t in range(int(columns["t"][0]), int(columns["t"][-1]), BOXES_APART_US) if more else ():
            writer.writeBoundingBox(dv.BoundingBox(t, 10.5, 20, 60.25, 90, 0.75, "car"))
            writer.writePose(dv.Pose(t, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), "world", "camera"))
            writer.writeTimedKeyPoint(dv.TimedKeyPoint((1.0, 2.0), 1.0, 1.0, 1.0, 0, 0, t))

    for code in ("NONE", "LZ4", "ZSTD"):
        file = f"dv_{code.lower()}.aedat4"
        yield file, f"AEDAT4, {code}", "dv-processing", lambda path, c=code: write(path, c, False)
    yield "dv_boxes.aedat4", "AEDAT4, boxes, poses, key points", "dv-processing", lambda path: write(path, "LZ4", True)


def hdf5(columns: Columns) -> Iterator[Written]:
    """The layouts of Prophesee, DSEC and v2e, compressed as these are."""
    h5py, plugin = importlib.import_module("h5py"), importlib.import_module("hdf5plugin")

    def prophesee(path: str, **compression: Any) -> None:
        rows = np.zeros(len(columns["t"]), dtype=[("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        for name in "xypt":
            rows[name] = columns[name]
        with h5py.File(path, "w") as file:
            file.attrs["geometry"] = f"{WIDTH}x{HEIGHT}"
            file.create_dataset("CD/events", data=rows, chunks=(1 << 14,), **compression)

    def dsec(path: str) -> None:
        start = int(columns["t"][0])
        with h5py.File(path, "w") as file:
            for name, kind in (("x", np.uint16), ("y", np.uint16), ("p", np.uint8)):
                file.create_dataset(f"events/{name}", data=columns[name].astype(kind), **plugin.Blosc())
            file.create_dataset("events/t", data=(columns["t"] - start).astype(np.uint32), **plugin.Blosc())
            file["t_offset"] = start

    def v2e(path: str) -> None:
        rows = np.stack([columns[name].astype(np.uint32) for name in "txyp"], axis=1)
        with h5py.File(path, "w") as file:
            file.create_dataset("events", data=rows, maxshape=(None, 4), compression="gzip")

    yield "prophesee.h5", "HDF5, `CD/events`, gzip", "h5py", lambda path: prophesee(path, compression="gzip")
    filters = {"Blosc": plugin.Blosc, "LZ4": plugin.LZ4, "Zstandard": plugin.Zstd}
    for name, code in filters.items():
        file = f"prophesee_{name.lower()}.h5"
        yield file, f"HDF5, `CD/events`, {name}", "hdf5plugin", lambda path, c=code: prophesee(path, **c())
    yield "dsec.h5", "HDF5 as in DSEC, Blosc", "hdf5plugin", dsec
    yield "v2e.h5", "HDF5 as of v2e, `events` [N, 4]", "h5py", v2e


def arrays(columns: Columns) -> Iterator[Written]:
    """NumPy's files, and arrays in the form that other packages give."""
    table = np.stack([columns[name] for name in "txyp"], axis=1)
    fields = records(columns, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
    tonic = importlib.import_module("tonic.io").make_structured_array(*(columns[name] for name in "xytp"))
    yield "columns.npz", "NumPy archive, a column an array", "numpy", lambda path: np.savez(path, **columns)
    yield "table.npz", "NumPy archive, `arr_0` [N, 4]", "numpy", lambda path: np.savez(path, table)
    yield "fields.npz", "NumPy archive, structured", "numpy", lambda path: np.savez_compressed(path, events=fields)
    yield "table.npy", "NumPy array [N, 4]", "numpy", lambda path: np.save(path, table)
    yield "fields.npy", "NumPy array, structured", "numpy", lambda path: np.save(path, fields)
    yield "tonic.npy", "NumPy array, structured", "tonic", lambda path: np.save(path, tonic)
    yield "table.txt", "text", "numpy", lambda path: np.savetxt(path, table, fmt="%d")


def main(events: Path, folder: Path) -> None:
    """Write everything; a program that cannot is named with its error."""
    with np.load(events, allow_pickle=False) as archive:
        columns = dict(archive)
    for program in (faery, expelliarmus, evlib, dv_processing, hdf5, arrays):
        for file, name, tool, write in program(columns):
            write(str(folder / file))
            print(json.dumps([file, name, tool]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
