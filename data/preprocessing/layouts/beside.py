"""``SPLIT/NAME_td.dat`` with ``NAME_bbox.npy`` beside it, in sub-folders too: Prophesee's sets and one's own."""

from __future__ import annotations

from pathlib import Path

from data.events.open import SUFFIXES, is_recording
from data.events.recording import recording_name
from data.preprocessing.layouts.base import Found, Layout


class Beside(Layout):
    """Boxes beside their recordings."""

    wanted = f"recordings ({', '.join('*' + suffix for suffix in SUFFIXES)})"

    def find(self, raw_path: Path, split: str) -> list[Found] | None:
        """Recordings of a split's folder, by path."""
        folder = raw_path / split
        if not folder.is_dir():
            return None
        others = (path for path in sorted(folder.rglob("*")) if not path.name.endswith("_bbox.npy"))
        files = [path for path in others if is_recording(path)]
        names = [recording_name(path) for path in files]
        return [Found(name, path, path.with_name(f"{name}_bbox.npy")) for name, path in zip(names, files, strict=True)]


LAYOUT = Beside()
