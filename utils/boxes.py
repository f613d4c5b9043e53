"""Box record types shared by files, labels and the evaluation protocol.

Rows of a label tensor are eight float32 numbers in the order of ``LABEL_COLUMNS``; x and y are the top-left
corner in pixels of the unpadded frame. Ground truth has t > 0, pseudo labels t = 0 (LEOD).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

IGNORE_LABEL = 1024
"""Class id of a box that takes part neither in matching nor in the background loss."""

LABEL_COLUMNS = ("t", "x", "y", "w", "h", "class_id", "class_confidence", "objectness")

BBOX_DTYPE = np.dtype(
    {
        "names": ["t", "x", "y", "w", "h", "class_id", "class_confidence", "objectness"],
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


def usable_boxes(boxes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which structured boxes are finite numbers and have a size, bool [N]."""
    numbers = np.stack([boxes[name] for name in ("x", "y", "w", "h")])
    return np.asarray(np.isfinite(numbers).all(axis=0)) & (boxes["w"] > 0) & (boxes["h"] > 0)
