"""Make split files: which labelled frames (weak) or sequences (semi) may be used, as JSON.

The rules are those that ``ratio`` and ``train_ratio`` apply on the fly, see ``data.supervision.rules``; a file
pins their result, so that it stays the same whatever the sequence length and whichever sequences are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.sequences.layout import SequencePaths, list_sequences, read_labels
from data.supervision.rules import evenly_spread, weak_indices
from utils.atomic import write_text
from utils.errors import UserError
from utils.progress import track

Split = Mapping[str, list[int] | None] | list[str]
"""Kept labelled frames of each sequence (weak; None for all), or names of the labelled sequences (semi)."""


@dataclass(frozen=True)
class LabelledFrames:
    """Labelled frames of one sequence.

    Attributes:
        name: the sequence.
        repr_idx: int64 [F], their frame numbers.
        boxes: int64 [F], their boxes.
    """

    name: str
    repr_idx: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]


def read_labelled_frames(split_dir: Path | str, ev_repr_name: str, downsampled: bool = False) -> list[LabelledFrames]:
    """Labelled frames of all sequences of a split, sorted by name; frames themselves are not read.

    Raises:
        UserError: no such folder, no sequence in it, or labels that are missing, unreadable or contradict each other.
    """
    found: list[LabelledFrames] = []
    for folder in track(list_sequences(split_dir), desc="reading labels", unit="sequence"):
        labels = read_labels(SequencePaths(folder, ev_repr_name, downsampled))
        counts = np.diff(np.append(labels.objframe_idx_2_label_idx, len(labels.boxes)))
        found.append(LabelledFrames(folder.name, labels.objframe_idx_2_repr_idx, counts))
    if not found:
        raise UserError(
            expected="sequence folders",
            got="none",
            where=str(split_dir),
            fix="preprocess the data, or set dataset.path",
        )
    return found


def weak_split(
    frames: Sequence[LabelledFrames], ratio: float, sequence_length: int, offset: int = 0
) -> dict[str, list[int]]:
    """Every round(1/ratio)-th labelled frame of every sequence, from the first that has L-1 frames before it.

    Args:
        frames: the sequences.
        ratio: share of labelled frames, in (0, 1].
        sequence_length: L.
        offset: labelled frames to leave out before the first kept one.

    Raises:
        UserError: a ratio or an offset out of range, or nothing is left.
    """
    _check(ratio, offset, "dataset.ratio")
    step = round(1 / ratio)
    if offset >= step:
        raise UserError(
            expected=f"an offset below {step}, the distance of kept frames",
            got=str(offset),
            where="dataset.ratio_offset",
            fix=f"choose one from 0 to {step - 1}",
        )
    split = {f.name: weak_indices(f.repr_idx, ratio, sequence_length, offset).tolist() for f in frames}
    if not any(split.values()):
        raise UserError(
            expected="a labelled frame that is kept",
            got=f"none of {sum(len(f.repr_idx) for f in frames)} labelled frames in {len(frames)} sequences",
            where=f"dataset.ratio={ratio} dataset.ratio_offset={offset}",
            fix="take a larger ratio or a smaller offset",
        )
    return split


def semi_split(names: Sequence[str], ratio: float, offset: int = 0) -> list[str]:
    """``round(n * ratio)`` (one at least) of the sorted sequences, evenly spread, ``offset`` places further on.

    Raises:
        UserError: a ratio or an offset out of range.

    >>> semi_split(["a", "b", "c", "d"], 0.5), semi_split(["a", "b", "c", "d"], 0.5, offset=1)
    (['a', 'c'], ['b', 'd'])
    """
    _check(ratio, offset, "dataset.train_ratio")
    count = len(names)
    kept = sorted((index + offset) % count for index in evenly_spread(count, ratio))
    return [sorted(names)[index] for index in kept]


def _check(ratio: float, offset: int, key: str) -> None:
    if not 0 < ratio <= 1:
        raise UserError(expected="a share in (0, 1]", got=str(ratio), where=key, fix=f"set for example {key}=0.05")
    if offset < 0:
        raise UserError(
            expected="a whole number from 0", got=str(offset), where="dataset.ratio_offset", fix="set it to 0 or more"
        )


def split_text(split: Split) -> str:
    """JSON in one line without spaces, as the published files are."""
    return json.dumps(split, separators=(",", ":"))


def write_split(path: Path | str, split: Split) -> None:
    """Write a split file; it appears whole."""
    write_text(path, split_text(split))


def differences(split: Split, other: Split) -> list[str]:
    """Names of sequences that two splits treat differently, sorted."""
    a, b = _by_name(split), _by_name(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name, []) != b.get(name, []))


def _by_name(split: Split) -> dict[str, list[int] | None]:
    return dict(split) if isinstance(split, Mapping) else dict.fromkeys(split)
