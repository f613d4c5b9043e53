"""Open a recording by what the file contains, not by what it is called."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.events.recording import ArrayRecording, DatRecording, Recording, no_events, recording_name
from data.events.types import Events
from utils.errors import UserError

FORMATS = ".dat (Prophesee), .aedat4 (iniVation), .npz or .npy (t, x, y, p)"


def open_recording(path: Path | str, sensor_hw: tuple[int, int] | None = None) -> Recording:
    """Open a recording of any supported format.

    * ``.dat``: Prophesee, header version 1 and 2, event types 0 and 12, with or without size lines;
    * ``.aedat4``: iniVation AEDAT4 (its first event stream), read with the ``aedat`` package;
    * ``.npz``: arrays ``t, x, y, p`` and optionally ``height, width``;
    * ``.npy``: structured with fields ``t, x, y, p``, or numbers [N, 4] in the order t, x, y, p (PEDRo).

    Args:
        path: the file; its first bytes decide the format.
        sensor_hw: sensor height and width where the file does not say; None takes the largest coordinates.

    Raises:
        UserError: the file is missing, empty, cut off or of another format, or its size contradicts ``sensor_hw``.
    """
    path = Path(path)
    recording = _open(path, sensor_hw)
    size = (recording.height, recording.width)
    if sensor_hw is not None and recording.size_known and size != tuple(sensor_hw):
        raise UserError(
            expected=f"a sensor of {sensor_hw[0]} rows and {sensor_hw[1]} columns",
            got=f"{size[0]} rows and {size[1]} columns",
            where=str(path),
            fix=f"set dataset.sensor_hw=[{size[0]},{size[1]}], or choose the dataset that this recording belongs to",
        )
    return recording


def _open(path: Path, sensor_hw: tuple[int, int] | None) -> Recording:
    if not path.is_file():
        raise UserError(expected="a recording", got="no such file", where=str(path), fix=f"give a file: {FORMATS}")
    with path.open("rb") as handle:
        head = handle.read(4096)
    if head.startswith(b"%") and re.search(rb"^% (evt \d|format EVT)", head, re.MULTILINE):
        raise _unknown(path, "a Prophesee RAW (EVT) file")
    if head.startswith(b"%"):
        return DatRecording(path, sensor_hw)
    if head.startswith(b"#!AER-DAT4"):
        return _open_aedat4(path)
    if head.startswith(b"PK"):
        return _open_npz(path, sensor_hw)
    if head.startswith(b"\x93NUMPY"):
        return _open_npy(path, sensor_hw)
    raise _unknown(path, "an empty file" if not head else f"a file that starts with {head[:12]!r}")


def _unknown(path: Path, got: str) -> UserError:
    return UserError(expected=f"a recording: {FORMATS}", got=got, where=str(path), fix="convert the recording first")


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        expected="a complete recording", got=f"an unreadable file ({error})", where=str(path), fix="copy the file again"
    )


def _open_aedat4(path: Path) -> ArrayRecording:
    import aedat  # only this format needs it

    parts: list[npt.NDArray[Any]] = []
    hw: tuple[int, int] | None = None
    try:
        decoder = aedat.Decoder(str(path))
        streams = decoder.id_to_stream()
        wanted = min((key for key, stream in streams.items() if stream["type"] == "events"), default=None)
        if wanted is not None:
            hw = (int(streams[wanted]["height"]), int(streams[wanted]["width"]))
            parts = [packet["events"] for packet in decoder if packet["stream_id"] == wanted and "events" in packet]
    except (RuntimeError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not parts:
        raise no_events(str(path))
    events = np.concatenate(parts)
    return ArrayRecording(recording_name(path), _from_fields(path, events, "t", "x", "y", "on"), hw)


def _open_npz(path: Path, sensor_hw: tuple[int, int] | None) -> ArrayRecording:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    events = _from_fields(path, arrays, "t", "x", "y", "p")
    stated = (int(arrays["height"]), int(arrays["width"])) if {"height", "width"} <= set(arrays) else None
    return ArrayRecording(recording_name(path), events, stated or sensor_hw, size_known=stated is not None)


def _open_npy(path: Path, sensor_hw: tuple[int, int] | None) -> ArrayRecording:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, error) from error
    if array.dtype.names is None:
        if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
            raise UserError(
                expected="numbers [N, 4] in the order t, x, y, p, or fields of these names",
                got=f"{array.dtype} {list(array.shape)}",
                where=str(path),
                fix="write the events in one of these forms",
            )
        array = dict(zip("txyp", array.T, strict=True))
    return ArrayRecording(
        recording_name(path), _from_fields(path, array, "t", "x", "y", "p"), sensor_hw, size_known=False
    )


def _from_fields(path: Path, fields: Any, t: str, x: str, y: str, p: str) -> Events:
    """Checked events from a structured array or a mapping of arrays."""
    names = list(fields) if isinstance(fields, dict) else list(fields.dtype.names)
    missing = [name for name in (t, x, y, p) if name not in names]
    lengths = {len(fields[name]) if np.ndim(fields[name]) else -1 for name in (t, x, y, p) if name in names}
    if missing or len(lengths) != 1 or -1 in lengths:
        raise UserError(
            expected=f"arrays of one length named {t}, {x}, {y}, {p}",
            got=f"{', '.join(names)} of lengths {sorted(lengths)}",
            where=str(path),
            fix="write the events with these names (t in µs, p 0 or 1)",
        )
    for name in (x, y):
        values = fields[name]
        if len(values) and (int(values.min()) < 0 or int(values.max()) >= 1 << 16):
            raise UserError(
                expected="coordinates between 0 and 65535",
                got=f"{name} from {values.min()} to {values.max()}",
                where=str(path),
                fix="check the order of the columns: t, x, y, p",
            )
    return Events.from_arrays(fields[t], fields[x], fields[y], fields[p])
