"""What a layout is: where the recordings of a raw folder and their boxes lie, and how they are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from data.box_files.read import BoxContext
from data.events.bbox import read_bbox_npy
from data.events.open import open_recording
from data.events.recording import Recording
from data.preprocessing.config import SPLITS


@dataclass(frozen=True)
class Found:
    """A recording of a raw folder.

    Attributes:
        name: what its sequence will be called.
        recording: its file, or the folder of its files.
        boxes: where its boxes are, or would be.
    """

    name: str
    recording: Path
    boxes: Path


class Layout(ABC):
    """Finds recordings and reads them; files are those of Prophesee and DSEC unless a layout says otherwise.

    Attributes:
        wanted: what is looked for, in words.
        box_files: what files of boxes are called, in words.
    """

    wanted: str
    box_files = "*_bbox.npy"

    @abstractmethod
    def find(self, raw_path: Path, split: str) -> list[Found] | None:
        """Recordings of a split, sorted; None if there is no place for this split."""

    def read_boxes(self, path: Path) -> npt.NDArray[Any]:
        """Boxes of ``Found.boxes``, ``BBOX_DTYPE`` [N], class ids as the files have them.

        Raises:
            UserError: they cannot be read.
        """
        return read_bbox_npy(path)

    def read_named_boxes(self, path: Path, context: BoxContext) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
        """Boxes of ``Found.boxes``, and names of their classes by id where the file has some that the dataset lacks.

        Args:
            path: of the boxes.
            context: what the file does not say itself.

        Raises:
            UserError: they cannot be read.
        """
        return self.read_boxes(path), ()

    def open(self, path: Path, sensor_hw: tuple[int, int]) -> Recording:
        """The events of ``Found.recording``.

        Raises:
            UserError: see ``open_recording``.
        """
        return open_recording(path, sensor_hw)

    def clock_us(self, recording: Recording) -> int:
        """Where time 0 of the boxes lies on the recording's clock."""
        return 0


class SequenceFolders(Layout):
    """A folder for each recording, named after it, in a folder for each split.

    Where there is no folder of a split, all recordings are of train: ``preprocessing.recordings`` says which are not.

    Args:
        events: the events' file in the folder of a recording.
        boxes: the boxes' file; the first that is there of several.
    """

    def __init__(self, events: str, boxes: Sequence[str]) -> None:
        self.events, self.boxes = events, tuple(boxes)
        self.wanted, self.box_files = f"recordings (SPLIT/NAME/{events})", " or ".join(boxes)

    def find(self, raw_path: Path, split: str) -> list[Found] | None:
        """Folders that hold the events' file."""
        place = split_folder(raw_path, split)
        if place is None:
            return None
        files = sorted(place.glob(f"*/{self.events}"))
        return [self._found(place / path.relative_to(place).parts[0], path) for path in files]

    def _found(self, folder: Path, events: Path) -> Found:
        choices = [folder / boxes for boxes in self.boxes]
        return Found(folder.name, events, next((path for path in choices if path.is_file()), choices[0]))


def split_folder(raw_path: Path, split: str) -> Path | None:
    """The folder of a split, or, of train, the whole where no split has a folder."""
    if (raw_path / split).is_dir():
        return raw_path / split
    undivided = raw_path.is_dir() and not any((raw_path / other).is_dir() for other in SPLITS)
    return raw_path if split == "train" and undivided else None


def files_below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Files of these suffixes below a folder, sorted by path."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file():
            yield path
