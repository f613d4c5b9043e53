"""The record in a sequence's folder: how it was made, what it holds, and the checksum of each of its files."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from utils.atomic import write_json
from utils.errors import UserError
from utils.json_files import read_json

RECORD_FILE = "sequence.json"
_FORMAT = {"format": "preprocessed sequence", "version": 1}
_COUNTS = dict.fromkeys(("events", "frames", "labelled_frames", "boxes", "raw_boxes"), int)
RECORD_KIND = {
    "counts": {**_COUNTS, "dropped?": {...: int}, "repaired?": {...: int}, "clock_us?": int},
    "files": {...: {"bytes": int, "sha256": str}},
    "settings?": {},
    "source?": str,
    "made_from?": {...: {"bytes": int, "sha256": str}},
}
"""What a record must hold, see ``utils.json_files``."""


@dataclass(frozen=True)
class SequenceCounts:
    """What became of one recording.

    Attributes:
        name: the sequence.
        events: events of the recording.
        frames, labelled_frames, boxes: what was written; all 0 if ``skipped``.
        raw_boxes: boxes before filtering.
        dropped: how many boxes were left out, by reason, see ``data.sequences.account``.
        clock_us: time 0 of the sequence on the recording's clock.
        repaired: what was repaired in the recording, see ``data.events.report``.
        skipped: why nothing was written, or None.
    """

    name: str
    events: int = 0
    frames: int = 0
    labelled_frames: int = 0
    boxes: int = 0
    raw_boxes: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    skipped: str | None = None
    clock_us: int = 0


def write_record(
    root: Path, source: str, settings: dict[str, Any], counts: SequenceCounts, made_from: Mapping[str, Any]
) -> None:
    """Write ``sequence.json`` into a folder whose other files are complete; the same files give the same bytes.

    Args:
        root: the folder.
        source: the recording's file name.
        settings: how it was made.
        counts: what it holds.
        made_from: size and SHA-256 of the files it was made of, see ``data.sequences.sources``.
    """
    numbers = {key: value for key, value in asdict(counts).items() if key not in ("name", "skipped")}
    value = {
        **_FORMAT,
        "source": source,
        "made_from": made_from,
        "counts": numbers,
        "files": {name: file_sum(root / name) for name in files_below(root) if name != RECORD_FILE},
        "settings": settings,
        "made_with": versions(),
    }
    write_json(root / RECORD_FILE, value)


def read_record(root: Path) -> dict[str, Any] | None:
    """The record of a sequence, None if there is none or it cannot be read."""
    try:
        return read_json(root / RECORD_FILE, RECORD_KIND, expected="the record of a sequence", fix="make it again")
    except UserError:
        return None


def counts_of_record(name: str, record: dict[str, Any]) -> SequenceCounts:
    """Counts that a record holds."""
    known = {entry.name for entry in fields(SequenceCounts)} - {"name"}
    return SequenceCounts(name=name, **{key: value for key, value in record["counts"].items() if key in known})


def has_all_files(root: Path, record: dict[str, Any]) -> bool:
    """Every file of the record is there and has its size."""
    return all(
        (root / name).is_file() and (root / name).stat().st_size == entry["bytes"]
        for name, entry in record["files"].items()
    )


def check_size(path: Path) -> None:
    """Compare the size of a sequence's file, links followed, with the record; without a record nothing is known.

    Raises:
        UserError: it is another one: the file was replaced after the sequence was made, or is not whole.
    """
    real = path.resolve()
    root = next((folder for folder in real.parents if (folder / RECORD_FILE).is_file()), None)
    if root is None:
        return
    record = read_record(root) or {"files": {}}
    facts = record["files"].get(real.relative_to(root).as_posix())
    if facts is not None and real.stat().st_size != facts["bytes"]:
        raise UserError(
            expected=f"the file that preprocessing made, of {facts['bytes']} bytes ({root / RECORD_FILE})",
            got=f"one of {real.stat().st_size} bytes: it was replaced since, or is not whole",
            where=str(path),
            fix="put the right file back, or start the same preprocessing again: it makes this sequence anew",
        )


def file_sum(path: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256 of a file (what ``sha256sum`` prints)."""
    with open(path, "rb") as handle:
        digest = hashlib.file_digest(handle, "sha256")
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def files_below(root: Path) -> list[str]:
    """Files and links below a folder, relative and sorted; links to folders are not followed."""
    found = (path for path in root.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(root).as_posix() for path in found)


def versions() -> dict[str, str]:
    """Versions of what decides about the bytes of the files."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
        "hdf5plugin": hdf5plugin.version,
    }
