"""Recordings whose names begin with their split, anywhere below the folder: ``train_day_0024_td.h5`` of eTraM."""

from __future__ import annotations

from pathlib import Path

from data.events.recording import recording_name
from data.preprocessing.layouts.base import Found, Layout, files_below

SUFFIXES = (".h5", ".hdf5", ".raw", ".dat")
"""Of a recording that is there in two formats the first of these is taken."""


class NamedBySplit(Layout):
    """``SPLIT_*_td.h5`` (or ``.raw``) and ``SPLIT_*_bbox.npy``, each anywhere below the raw folder."""

    wanted = "recordings (SPLIT_*_td.h5 or SPLIT_*.raw, anywhere below)"

    def find(self, raw_path: Path, split: str) -> list[Found] | None:
        """Recordings by name, each with the box file of its name; None if there is none."""
        files = [path for path in files_below(raw_path, (*SUFFIXES, ".npy")) if path.name.startswith(f"{split}_")]
        boxes = {path.name: path for path in reversed(files)}
        events = [path for path in files if path.suffix.lower() in SUFFIXES]
        by_name = {recording_name(path): path for path in sorted(events, key=_rank, reverse=True)}
        return [
            Found(name, path, boxes.get(f"{name}_bbox.npy", path.with_name(f"{name}_bbox.npy")))
            for name, path in sorted(by_name.items())
        ] or None


def _rank(path: Path) -> tuple[int, Path]:
    return SUFFIXES.index(path.suffix.lower()), path


LAYOUT = NamedBySplit()
