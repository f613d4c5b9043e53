"""Raw box files beside a recording (``*_bbox.npy``), both Prophesee dialects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.arrays import ARRAY_ERRORS, describe
from utils.atomic import atomic_path
from utils.boxes import BBOX_DTYPE, to_bbox_array
from utils.errors import UserError

RAW_BBOX_DTYPE = np.dtype(
    [
        ("t", "<i8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "<u4"),
        ("track_id", "<u4"),
        ("class_confidence", "<f4"),
    ]
)
"""What ``write_bbox_npy`` writes: the newer Prophesee dialect."""

_TIMES = (
    "t",
    "box times in whole microseconds",
    "write times in microseconds: seconds times 1e6, milliseconds times 1e3",
)
_WHOLE = {
    "t": _TIMES,
    "ts": _TIMES,
    "class_id": ("class_id", f"class ids that are whole numbers from 0 to {2**32 - 1}", "write the ids as these"),
}
"""Fields of whole numbers: as what they are stored, and what to tell where that would be another value."""
_SAME = (("t", "ts"), ("class_confidence", "confidence"))


def read_bbox_npy(path: Path | str) -> npt.NDArray[Any]:
    """Read raw boxes into ``BBOX_DTYPE`` [N] (x, y top-left, pixels; t in µs), in the order of the file.

    Raises:
        UserError: the file is missing, not an array file, lacks a field, or its times are not whole microseconds or
            another value cannot be stored.
    """
    path = Path(path)
    try:
        raw = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(
            expected="a box file", got="no such file", where=str(path), fix="put *_bbox.npy beside *_td.dat"
        ) from error
    except ARRAY_ERRORS as error:
        raise UserError(
            expected="a NumPy file with structured boxes",
            got=f"an unreadable file ({describe(error)})",
            where=str(path),
            fix="download or write the file again",
        ) from error
    if not isinstance(raw, np.ndarray):
        raise UserError(
            expected="one array", got="an archive of several", where=str(path), fix="write the boxes with np.save"
        )
    _refuse_other_values(path, raw.reshape(-1))
    try:
        return to_bbox_array(raw.reshape(-1))
    except (ValueError, TypeError) as error:
        raise UserError(
            expected="numbers in the fields of boxes", got=str(error), where=str(path), fix="write the boxes as numbers"
        ) from error
    except KeyError as error:
        raise UserError(
            expected="fields t (or ts), x, y, w, h, class_id",
            got=f"fields {list(raw.dtype.names or ())}: {error} is missing",
            where=str(path),
            fix="write the boxes as a structured array with these names",
        ) from error


def _refuse_other_values(path: Path, raw: npt.NDArray[Any]) -> None:
    """Refuse what would be another value once it is stored: fractions, ids out of range, one thing said twice."""
    fields = raw.dtype.fields or {}
    for name, (stored, expected, fix) in _WHOLE.items():
        if name in fields and raw.dtype[name].kind in "iuf":
            values = np.asarray(raw[name])
            with np.errstate(invalid="ignore"):
                bad = values.astype(BBOX_DTYPE[stored]) != values
            if bad.any():
                at = int(bad.argmax())
                shown = f"{values[at]:g}" if values.dtype.kind == "f" else str(values[at])
                raise UserError(expected=expected, got=f"{name} = {shown} of box {at}", where=str(path), fix=fix)
    for name, other in _SAME:
        if name in fields and other in fields and (raw[name] != raw[other]).any():
            raise UserError(
                expected=f"one of the fields {name} and {other}",
                got="both, with other values",
                where=str(path),
                fix="write the boxes with the one that is right",
            )
    for name in [name for name in fields if raw.dtype[name].kind == "c"]:
        raise UserError(
            expected="numbers in the fields of boxes",
            got=f"complex ones in {name}",
            where=str(path),
            fix="write the boxes as numbers",
        )


def write_bbox_npy(path: Path | str, boxes: npt.NDArray[Any]) -> None:
    """Write structured boxes of any dialect as ``RAW_BBOX_DTYPE``; the file appears whole.

    Args:
        path: usually ``<sequence>_bbox.npy``.
        boxes: structured [N] with t|ts, x, y, w, h, class_id and optionally track_id and class_confidence|confidence.
    """
    common = to_bbox_array(boxes)
    out = np.zeros(len(boxes), dtype=RAW_BBOX_DTYPE)
    for name in RAW_BBOX_DTYPE.names or ():
        if name != "track_id":
            out[name] = common[name]
    if "track_id" in (boxes.dtype.names or ()):
        out["track_id"] = boxes["track_id"]
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, out, allow_pickle=False)
