"""Boxes of views that wait for a second pass or are kept beside a pseudo-label dataset, one file a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.arrays import as_indices, load_npz
from utils.atomic import atomic_path
from utils.boxes import BBOX_DTYPE, Label, ScoreLimits, rows_above
from utils.errors import UserError

_INDICES = ("frames", "views", "counts", "gt_frames", "gt_counts")


def write_views(path: Path, state: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write what ``EventSeqData.state`` gave, whole or not at all; the folder is made."""
    path.parent.mkdir(exist_ok=True)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **state)  # pyright: ignore[reportArgumentType]


def read_views(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read what ``EventSeqData.state`` gave, from the file that it was written to.

    Raises:
        UserError: the file is missing, damaged, or its arrays contradict each other.
    """
    fix = "remove this file and the sequence of this name, then label again"
    state = load_npz(path, "frames", "views", "counts", "rows", "gt_frames", "gt_counts", "gt", fix=fix)
    indices = {name: as_indices(state[name], str(path), fix) for name in _INDICES}
    whole = state["rows"].shape[1:] == (len(Label),) and state["rows"].dtype == np.float32
    names, kind = BBOX_DTYPE.names or (), state["gt"].dtype  # NumPy may have dropped the padding
    whole = whole and state["gt"].ndim == 1 and kind.names == names and all(kind[n] == BBOX_DTYPE[n] for n in names)
    for group, boxes in ((_INDICES[:3], state["rows"]), (_INDICES[3:], state["gt"])):
        counts = indices[group[-1]]
        whole = whole and len({len(indices[name]) for name in group}) == 1
        whole = whole and bool((counts >= 0).all() and counts.sum() == len(boxes))
    if not whole:
        got = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in state.items())
        raise UserError(expected="boxes of views as predict.py keeps them", got=got, where=str(path), fix=fix)
    return {**state, **indices}


def boxes_above(state: Mapping[str, npt.NDArray[Any]], limits: ScoreLimits) -> dict[str, npt.NDArray[Any]]:
    """The same views with only the boxes above these scores; that a view looked at a frame stays known."""
    rows, counts = state["rows"], state["counts"]
    keep = rows_above(rows, limits)
    entry = np.repeat(np.arange(len(counts)), counts)
    return {**state, "rows": rows[keep], "counts": np.bincount(entry[keep], minlength=len(counts))}
