"""Which labels may be used: weak supervision (few frames of each sequence) and semi supervision (few sequences)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.sequences.sequence import EventSequence
from utils.errors import UserError
from utils.json_files import read_json, wrong_kind

_SPLIT_FIX = "give the split file of this dataset, or set ratio or train_ratio instead"


def evenly_spread(count: int, ratio: float) -> list[int]:
    """Indices of ``round(count * ratio)`` (at least one) of ``count`` things, evenly spread from the first on.

    >>> evenly_spread(4, 0.5), evenly_spread(5, 0.5), evenly_spread(3, 0.01)
    ([0, 2], [0, 2], [0])
    """
    kept = min(max(round(count * ratio), 1), count)
    return [index * count // kept for index in range(kept)]


def weak_indices(
    repr_idx: npt.NDArray[np.int64], ratio: float, sequence_length: int, offset: int = 0
) -> npt.NDArray[np.int64]:
    """Labelled frames that weak supervision keeps: every round(1/ratio)-th that has L-1 frames before it.

    Args:
        repr_idx: frame numbers of the labelled frames, ascending [F].
        ratio: share of labelled frames.
        sequence_length: L. Where no labelled frame is late enough, counting starts at the first.
        offset: labelled frames to leave out before.
    """
    first = int(np.searchsorted(repr_idx, sequence_length - 1))
    start = (first if first < len(repr_idx) else 0) + offset
    return np.arange(start, len(repr_idx), max(round(1.0 / ratio), 1))


def hide_weakly(sequences: Sequence[EventSequence], ratio: float, sequence_length: int, offset: int = 0) -> None:
    """Keep every round(1/ratio)-th labelled frame of every sequence."""
    for sequence in sequences:
        sequence.hide(weak_indices(sequence.repr_idx, ratio, sequence_length, offset))


def hide_sequences(sequences: Sequence[EventSequence], ratio: float) -> None:
    """Keep the labels of ``round(n * ratio)`` of the (sorted) sequences, hide those of the others."""
    labelled = set(evenly_spread(len(sequences), ratio))
    for index, sequence in enumerate(sequences):
        if index not in labelled:
            sequence.hide(np.zeros(0, dtype=np.int64))


def hide_by_file(sequences: Sequence[EventSequence], path: Path | str) -> None:
    """Keep what a split file lists: ``{sequence: [indices of labelled frames]}`` or ``[names of sequences]``.

    Sequences the file does not name keep no label.

    Raises:
        UserError: the file is unreadable, of another form, names none of the sequences, or an index is too large.
    """
    split = read_split(Path(path))
    known = {sequence.name for sequence in sequences}
    if known and not known & split.keys():
        raise _split_error(path, "names of this dataset's training sequences", "none of them")
    for sequence in sequences:
        kept = split.get(sequence.name, [])
        keep = np.arange(sequence.num_labelled) if kept is None else np.asarray(kept, dtype=np.int64)
        wrong = keep[(keep < 0) | (keep >= sequence.num_labelled)]
        if len(wrong):
            got = f"index {wrong[0]} for {sequence.name}"
            raise _split_error(path, f"indices below {sequence.num_labelled}, its number of labelled frames", got)
        sequence.hide(keep)


def _split_error(path: Path | str, expected: str, got: str) -> UserError:
    return UserError(expected=expected, got=got, where=str(path), fix=_SPLIT_FIX)


def read_split(path: Path) -> dict[str, list[int] | None]:
    """Read a split file: kept labelled frames by sequence; None stands for all.

    Raises:
        UserError: the file is missing, not JSON, or of another form.
    """
    split: Any = read_json(path, expected="a readable JSON file", fix=_SPLIT_FIX)
    problem = wrong_kind(split, [str] if isinstance(split, list) else {...: [int]})
    if problem is not None:
        raise _split_error(path, "{sequence: [indices]} or [sequence names]", problem)
    return dict.fromkeys(split) if isinstance(split, list) else split
