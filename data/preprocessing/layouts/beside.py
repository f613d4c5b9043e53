"""``SPLIT/NAME_td.dat`` with ``NAME_bbox.npy`` or ``.csv`` beside it, in sub-folders too; one's own recordings, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from data.box_files.read import BESIDE, BoxContext, boxes_beside, read_named_boxes
from data.events.open import SUFFIXES, is_recording
from data.events.recording import recording_name
from data.preprocessing.layouts.base import Found, Layout


class Beside(Layout):
    """Boxes beside their recordings."""

    wanted = f"recordings ({', '.join('*' + suffix for suffix in SUFFIXES)})"
    box_files = "*_bbox.npy (or .csv)"

    def find(self, raw_path: Path, split: str) -> list[Found] | None:
        """Recordings of a split's folder, by path."""
        folder = raw_path / split
        if not folder.is_dir():
            return None
        return [Found(recording_name(path), path, boxes_beside(path)) for path in recordings_below(folder)]

    def read_named_boxes(self, path: Path, context: BoxContext) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
        """See ``data.box_files.read``."""
        return read_named_boxes(path, context)


def recordings_below(folder: Path) -> list[Path]:
    """Recordings of a folder and its sub-folders, sorted."""
    others = (path for path in sorted(folder.rglob("*")) if not path.name.lower().endswith(BESIDE))
    return [path for path in others if is_recording(path)]


LAYOUT = Beside()
