"""What a dataset should hold, from its config or from its own files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import h5py

from data.sequences.class_names import class_names
from data.sequences.layout import EV_DIR, SequencePaths, list_sequences
from data.sequences.stored_labels import LABEL_DIR
from utils.errors import UserError

SPLITS = ("train", "val", "test")
LOOKED_AT = 20
"""Sequences of each split whose folders say how a dataset without a config is built."""


@dataclass(frozen=True)
class Expectation:
    """How a dataset should be; None: as its own files are.

    Attributes:
        path: folder with the splits.
        ev_repr_name: folder name of the representation.
        downsampled: frames have half the resolution of the labels.
        sensor_hw: height and width of the labels' pixels.
        channels: channels of a frame.
        dtype: of frames, ``uint8`` or ``int8``.
        classes: names in the order of their ids.
        sequence_length: frames of a training sample; shorter sequences are mentioned.
        splits: which splits there should be.
        frames_read: frames read of each sequence, evenly spread; None reads all of them, 0 none.
    """

    path: Path
    ev_repr_name: str | None = None
    downsampled: bool | None = None
    sensor_hw: tuple[int, int] | None = None
    channels: int | None = None
    dtype: str | None = None
    classes: tuple[str, ...] | None = None
    sequence_length: int = 1
    splits: tuple[str, ...] = SPLITS
    frames_read: int | None = 8

    def __post_init__(self) -> None:
        if self.frames_read is not None and self.frames_read < 0:
            raise UserError(
                expected="a number of frames from 0, or null for all of them",
                got=str(self.frames_read),
                where="frames_read",
                fix="set for example frames_read=8",
            )

    def paths(self, sequence: Path) -> SequencePaths:
        """Files of a sequence; only after ``complete``."""
        return SequencePaths(sequence, str(self.ev_repr_name), bool(self.downsampled))


def complete(expectation: Expectation) -> Expectation:
    """Fill in what the config does not say from the files of the first sequences.

    Raises:
        UserError: no such folder, no split in it, or no sequence in any split.
    """
    root = expectation.path
    sequences = _first_sequences(expectation)
    names = Counter(
        folder.name for s in sequences if (s / EV_DIR).is_dir() for folder in sorted((s / EV_DIR).iterdir())
    )
    name = expectation.ev_repr_name or (min(names, key=lambda n: (-names[n], n)) if names else None)
    if name is None:
        raise UserError(
            expected=f"sequences with {EV_DIR}/<representation>",
            got=f"{len(sequences)} folders without",
            where=str(root),
            fix="preprocess the recordings: scripts/preprocess_dataset.py raw_path=FOLDER",
        )
    found = replace(expectation, ev_repr_name=name, classes=expectation.classes or class_names(root) or None)
    if found.downsampled is None:
        halves = [SequencePaths(s, name, True).h5.is_file() for s in sequences]
        fulls = [SequencePaths(s, name, False).h5.is_file() for s in sequences]
        found = replace(found, downsampled=sum(halves) > sum(fulls))
    return _from_frames(found, sequences)


def _first_sequences(expectation: Expectation) -> list[Path]:
    root = expectation.path
    if not root.is_dir():
        raise UserError(
            expected="a dataset folder with train, val and test",
            got="no such folder",
            where=str(root),
            fix="give its place: dataset.path=FOLDER or path=FOLDER",
        )
    splits = [root / split for split in expectation.splits if (root / split).is_dir()]
    found = [sequence for split in splits for sequence in islice(list_sequences(split), LOOKED_AT)]
    if not found:
        raw = any(root.glob("*/*_bbox.npy")) or any(root.glob("*/*_td.dat"))
        inside = (root / EV_DIR).is_dir() or (root / LABEL_DIR).is_dir()
        got = (
            "raw recordings" if raw else "one sequence" if inside else f"no sequence in {', '.join(expectation.splits)}"
        )
        fix = "preprocess them: scripts/preprocess_dataset.py raw_path=FOLDER dataset.path=ANOTHER_FOLDER"
        raise UserError(
            expected="a dataset: train, val and test with a folder for each sequence",
            got=got,
            where=str(root),
            fix=fix if raw else "give the folder that holds train, val and test",
        )
    return found


def _from_frames(found: Expectation, sequences: list[Path]) -> Expectation:
    """Take shape and type of frames from most of the files, where the config leaves them open."""
    seen: Counter[tuple[int, int, int, str]] = Counter()
    for sequence in sequences:
        try:
            with h5py.File(found.paths(sequence).h5, "r", locking=False) as file:
                data = file["data"]
                if not isinstance(data, h5py.Dataset) or data.ndim != 4:
                    continue
                _, channels, height, width = data.shape
                seen[channels, height, width, str(data.dtype)] += 1
        except (OSError, KeyError):
            continue
    if not seen:
        return found
    channels, height, width, dtype = min(seen, key=lambda kind: (-seen[kind], kind))
    scale = 2 if found.downsampled else 1
    return replace(
        found,
        sensor_hw=found.sensor_hw or (scale * height, scale * width),
        channels=found.channels or channels,
        dtype=found.dtype or dtype,
    )
