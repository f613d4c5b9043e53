"""Open a recording by what the file contains, not by what it is called."""

from __future__ import annotations

from pathlib import Path

from data.events.chunked import ChunkedRecording, ChunkSource
from data.events.formats.aedat4.source import aedat4_source
from data.events.formats.csv_dialect import SNIFFED_BYTES, holds_events, looks_like_table
from data.events.formats.csv_text import csv_source
from data.events.formats.dat import DatSource
from data.events.formats.evt import EvtSource
from data.events.formats.evt_header import names_evt
from data.events.formats.hdf5 import hdf5_source
from data.events.formats.numpy_files import npy_source, npz_source
from data.events.problems import damaged
from data.events.recording import Recording
from utils.errors import UserError

FORMATS = (
    ".dat, .raw (EVT2, EVT2.1, EVT3) and .hdf5 of Prophesee cameras, .h5 as in DSEC, .aedat4 (iniVation), "
    ".npz, .npy, .csv or .txt (t, x, y, p)"
)
SUFFIXES = (".dat", ".raw", ".aedat4", ".h5", ".hdf5", ".npz", ".npy", ".csv", ".txt")
"""Names that recordings usually have, to find them in a folder; what a file is decides its content."""

_FOREIGN = {
    b"\x1f\x8b": ("a gzip file", "unpack it first: gunzip FILE"),
    b"BZh": ("a bzip2 file", "unpack it first: bunzip2 FILE"),
    b"\xfd7zXZ": ("an xz file", "unpack it first: unxz FILE"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", "unpack it first: unzstd FILE"),
    b"\x04\x22\x4d\x18": ("an LZ4 file", "unpack it first: unlz4 FILE"),
    b"7z\xbc\xaf": ("a 7z file", "unpack it first"),
    b"Rar!": ("a rar file", "unpack it first"),
    b"#ROSBAG": ("a ROS bag", "export its events to .csv, .npz or .h5 first"),
    b"\x89MCAP0": ("an MCAP file, as of ROS 2", "export its events to .csv, .npz or .h5 first"),
    b"SQLite format 3": ("an SQLite file, as of ROS 2", "export its events to .csv, .npz or .h5 first"),
    b"Event Stream": ("an Event Stream file (.es)", "convert it to .csv, .dat or .aedat4, for example with faery"),
    b"#!AER-DAT1": ("an AEDAT 1 file", "convert it to AEDAT4 with iniVation's DV"),
    b"#!AER-DAT2": ("an AEDAT 2 file", "convert it to AEDAT4 with iniVation's DV"),
    b"#!AER-DAT3": ("an AEDAT 3 file", "convert it to AEDAT4 with iniVation's DV"),
}


def is_recording(path: Path) -> bool:
    """Whether a file in a folder is taken for a recording: by its name; as text may be anything, that by its lines."""
    suffix = path.suffix.lower()
    return suffix in SUFFIXES and path.is_file() and (suffix != ".txt" or holds_events(path))


def open_recording(path: Path | str, sensor_hw: tuple[int, int] | None = None) -> Recording:
    """Open a recording of any supported format; docs/FORMATS.md says what is understood and what is repaired.

    * Prophesee ``.dat`` (header version 1 and 2, event types 0 and 12) and ``.raw`` (EVT2, EVT2.1, EVT3);
    * HDF5 of Prophesee (``CD/events``), of DSEC (``events/x, y, p, t``) and of v2e (``events`` [N, 4]);
    * ``.aedat4``: iniVation AEDAT4, its first event stream, read with the ``aedat`` package;
    * ``.npz``: arrays ``t, x, y, p`` and optionally ``height, width``, or one array as in ``.npy``;
    * ``.npy``: structured with fields ``t, x, y, p``, or numbers [N, 4] in the order t, x, y, p (PEDRo);
    * text with a line an event.

    All events are read once to check them and to index their times; afterwards windows are decoded from the file.

    Args:
        path: the file; its first bytes decide the format.
        sensor_hw: sensor height and width where the file does not say; None takes the largest coordinates.

    Raises:
        UserError: the file is missing, empty, damaged or of another format, its events cannot be trusted, or its size
            contradicts ``sensor_hw``.
    """
    path = Path(path)
    source = _source(path)
    if sensor_hw is not None and source.hw is not None and source.hw != tuple(sensor_hw):
        raise UserError(
            expected=f"a sensor of {sensor_hw[0]} rows and {sensor_hw[1]} columns",
            got=f"{source.hw[0]} rows and {source.hw[1]} columns",
            where=str(path),
            fix=f"set dataset.sensor_hw=[{source.hw[0]},{source.hw[1]}], or choose the dataset that this recording "
            "belongs to",
        )
    return ChunkedRecording(source, sensor_hw)


def _source(path: Path) -> ChunkSource:
    if not path.is_file():
        got = "a folder" if path.is_dir() else "no such file"
        raise UserError(expected="a recording", got=got, where=str(path), fix=f"give a file: {FORMATS}")
    try:
        with path.open("rb") as handle:
            head = handle.read(SNIFFED_BYTES)
        return _by_content(path, head)
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from error


def _by_content(path: Path, head: bytes) -> ChunkSource:
    if head.startswith(b"%") and names_evt(head):
        return EvtSource(path)
    if head.startswith(b"%") and not (b"\0" not in head and looks_like_table(head)):
        return DatSource(path)
    if head.startswith(b"#!AER-DAT4"):
        return aedat4_source(path)
    if head.startswith(b"PK"):
        return npz_source(path)
    if head.startswith(b"\x93NUMPY"):
        return npy_source(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return hdf5_source(path)
    for magic, (what, fix) in _FOREIGN.items():
        if head.startswith(magic):
            raise UserError(expected=f"a recording: {FORMATS}", got=what, where=str(path), fix=fix)
    if looks_like_table(head):
        return csv_source(path)
    got = "an empty file" if not head else f"a file that starts with {head[:12]!r}"
    raise UserError(expected=f"a recording: {FORMATS}", got=got, where=str(path), fix="convert the recording first")
