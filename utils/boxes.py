"""The one box, from the head to the disk: columns of its rows by name, its records, and the way between them.

A box in memory is a label row of eight float32 numbers (``Label``); what a detector finds comes as rows of seven
(``Detection``); on disk it is a record (``BBOX_DTYPE``). x and y are the top-left corner in pixels of the unpadded
frame. Ground truth has t > 0, pseudo labels t = 0 (LEOD). Functions of rows take NumPy arrays and tensors alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, nonmember
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = npt.NDArray[np.float32]
Rows = TypeVar("Rows", "Tensor", npt.NDArray[Any])


class Label(IntEnum):
    """Columns of label rows [N, 8]: ``rows[:, Label.X]``."""

    T = 0
    X = 1
    Y = 2
    W = 3
    H = 4
    CLASS_ID = 5
    CLASS_CONFIDENCE = 6
    OBJECTNESS = 7

    XY = nonmember(slice(X, W))
    WH = nonmember(slice(W, CLASS_ID))
    XYWH = nonmember(slice(X, CLASS_ID))

    @staticmethod
    def corners(rows: Rows) -> tuple[Rows, Rows, Rows, Rows]:
        """Left, top, right and bottom edges, [N] each."""
        x, y = rows[:, Label.X], rows[:, Label.Y]
        return x, y, x + rows[:, Label.W], y + rows[:, Label.H]

    @staticmethod
    def set_corners_(rows: Any, x0: Any, y0: Any, x1: Any, y1: Any) -> None:
        """Write x, y, w and h of boxes with these edges, in place."""
        rows[:, Label.X], rows[:, Label.Y], rows[:, Label.W], rows[:, Label.H] = x0, y0, x1 - x0, y1 - y0

    @staticmethod
    def mirror_(rows: Any, width: int) -> None:
        """Mirror left and right in a frame of ``width`` pixels, in place: x becomes width - 1 - x - w."""
        rows[:, Label.X] = width - 1 - rows[:, Label.X] - rows[:, Label.W]


class Detection(IntEnum):
    """Columns of detections [n, 7], corners in pixels."""

    X0 = 0
    Y0 = 1
    X1 = 2
    Y1 = 3
    OBJECTNESS = 4
    CLASS_CONFIDENCE = 5
    CLASS_ID = 6

    CORNERS = nonmember(slice(X0, OBJECTNESS))

    @staticmethod
    def corners(rows: Rows) -> tuple[Rows, Rows, Rows, Rows]:
        """Left, top, right and bottom edges, [n] each."""
        return rows[:, Detection.X0], rows[:, Detection.Y0], rows[:, Detection.X1], rows[:, Detection.Y1]

    @staticmethod
    def set_corners_(rows: Any, x0: Any, y0: Any, x1: Any, y1: Any) -> None:
        """Write the edges of boxes, in place."""
        rows[:, Detection.X0], rows[:, Detection.Y0], rows[:, Detection.X1], rows[:, Detection.Y1] = x0, y0, x1, y1

    @staticmethod
    def mirror_(rows: Any, width: int) -> None:
        """Mirror left and right in a frame of ``width`` pixels, in place: x becomes width - 1 - x."""
        left, right = width - 1 - rows[:, Detection.X1], width - 1 - rows[:, Detection.X0]
        rows[:, Detection.X0], rows[:, Detection.X1] = left, right


_YOLOX = (Label.CLASS_ID, Label.X, Label.Y, Label.W, Label.H, Label.OBJECTNESS, Label.CLASS_CONFIDENCE)

IGNORE_LABEL = 1024
"""Class id of a box that takes part neither in matching nor in the background loss."""

LEFT_OUT_CLASS = 2**32 - 1
"""Class id of a box that its file or the settings pass over; preprocessing counts it and leaves it out."""

LABEL_COLUMNS = tuple(column.name.lower() for column in Label)

BBOX_DTYPE = np.dtype(
    {
        "names": list(LABEL_COLUMNS),
        "formats": ["<i8", "<f4", "<f4", "<f4", "<f4", "<u4", "<f4", "<f4"],
        "offsets": [0, 8, 12, 16, 20, 24, 28, 32],
        "itemsize": 40,
    }
)
"""Label record on disk (RVT layout with LEOD's objectness); t in microseconds."""

PROPHESEE_DTYPE = np.dtype(
    [
        ("t", "<i8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "<u4"),
        ("class_confidence", "<f4"),
    ]
)
"""Record of the Prophesee evaluation protocol; t in microseconds. Detections rank by ``class_confidence``."""


def to_bbox_array(boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copy structured boxes of any dialect into ``BBOX_DTYPE`` by field name.

    ``ts`` stands for ``t`` and ``confidence`` for ``class_confidence`` in old Prophesee files; a missing confidence
    is 1 and a missing objectness equals the class confidence.

    Args:
        boxes: structured array [N] with at least t|ts, x, y, w, h, class_id.

    Raises:
        KeyError: a required field is missing (its name is the key).
    """
    names = set(boxes.dtype.names or ())
    out = np.zeros(len(boxes), dtype=BBOX_DTYPE)
    alias = {"t": "ts", "class_confidence": "confidence"}
    for name in ("t", "x", "y", "w", "h", "class_id", "class_confidence"):
        source = name if name in names else alias.get(name, name)
        if source in names:
            out[name] = boxes[source]
        elif name == "class_confidence":
            out[name] = 1.0
        else:
            raise KeyError(name)
    out["objectness"] = boxes["objectness"] if "objectness" in names else out["class_confidence"]
    return out


def rows_to_records(rows: FloatArray, dtype: np.dtype[Any] = BBOX_DTYPE) -> npt.NDArray[Any]:
    """Label rows [n, 8] as records, of the fields that ``dtype`` has."""
    records = np.zeros(len(rows), dtype=dtype)
    for column in Label:
        if (name := column.name.lower()) in (dtype.names or ()):
            records[name] = rows[:, column]
    return records


def yolox_rows(rows: Rows) -> Rows:
    """Label rows [N, 8] as [N, 7]: class_id, centre x, centre y, w, h, objectness, class_confidence."""
    centred: Any = rows[:, list(Label)]
    centred[:, Label.XY] += centred[:, Label.WH] / 2
    return centred[:, list(_YOLOX)]


def records_to_rows(records: npt.NDArray[Any]) -> FloatArray:
    """``BBOX_DTYPE`` records as label rows [n, 8] (times rounded to float32)."""
    return np.stack([records[name].astype(np.float32) for name in LABEL_COLUMNS], axis=1)


def detections_to_rows(detections: FloatArray) -> FloatArray:
    """Detections [n, 7] as label rows [n, 8] with t = 0."""
    rows = np.zeros((len(detections), len(Label)), dtype=np.float32)
    Label.set_corners_(rows, *Detection.corners(detections))
    for name in ("CLASS_ID", "CLASS_CONFIDENCE", "OBJECTNESS"):
        rows[:, Label[name]] = detections[:, Detection[name]]
    return rows


def paired_iou(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Overlap of boxes x, y, w, h [n, 4] with those of the other array, one by one [n]; 0 where they do not meet."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = a.T, b.T
    width = np.minimum(ax + aw, bx + bw) - np.maximum(ax, bx)
    height = np.minimum(ay + ah, by + bh) - np.maximum(ay, by)
    inter = np.where((width > 0) & (height > 0), width * height, 0.0)
    return np.divide(inter, aw * ah + bw * bh - inter, out=np.zeros_like(inter), where=inter > 0)


def usable_boxes(boxes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which structured boxes are finite numbers and have a size, bool [N]."""
    numbers = np.stack([boxes[name] for name in ("x", "y", "w", "h")])
    return np.asarray(np.isfinite(numbers).all(axis=0)) & (boxes["w"] > 0) & (boxes["h"] > 0)


def class_name(names: Sequence[str], class_id: int) -> str:
    """Name of a class, or its number when it has none.

    >>> class_name(["car"], 0), class_name(["car"], 3)
    ('car', 'class 3')
    """
    return names[class_id] if class_id < len(names) else f"class {class_id}"


class ScoreLimits(Protocol):
    """Least scores by class."""

    def mask(self, class_id: npt.NDArray[Any], objectness: FloatArray, confidence: FloatArray) -> npt.NDArray[np.bool_]:
        """Mark the boxes above them, [n]."""
        ...


def rows_above(rows: FloatArray, limits: ScoreLimits) -> npt.NDArray[np.bool_]:
    """Mark the label rows [n, 8] with scores above the limits of their class, [n]."""
    return limits.mask(rows[:, Label.CLASS_ID], rows[:, Label.OBJECTNESS], rows[:, Label.CLASS_CONFIDENCE])
