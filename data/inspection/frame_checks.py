"""What can be wrong with the frames of one sequence, and how many events they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from data.inspection.config import Expectation
from data.inspection.findings import Finding
from data.sequences.layout import EV_DIR, FrameReader, SequencePaths
from utils.arrays import load_indices
from utils.errors import UserError

SHAPE_FIX = (
    "preprocess it again, or choose the dataset it belongs to (sensor_hw, representation, downsample_by_factor_2)"
)


@dataclass
class FrameFacts:
    """What the frames of a sequence are.

    Attributes:
        shape: (T, C, H, W), or None if the file cannot be read.
        dtype: of the frames.
        times_us: int64 [T], end of each window, or None.
        read: frames read.
        empty: frames among them without any event.
        counts: sum of their values: events, clipped counts at that (histograms only).
        problems: what is wrong.
    """

    shape: tuple[int, int, int, int] | None = None
    dtype: str | None = None
    times_us: npt.NDArray[np.int64] | None = None
    read: int = 0
    empty: int = 0
    counts: int = 0
    problems: list[Finding] = field(default_factory=list)


def inspect_frames(paths: SequencePaths, expected: Expectation, where: str) -> FrameFacts:
    """Look at a sequence's frames and their times; a few frames are decoded, see ``Expectation.frames_read``."""
    facts = FrameFacts()
    reader = FrameReader(paths.h5)
    try:
        facts.shape, facts.dtype = reader.shape, str(reader.dtype)
    except UserError as error:
        if paths.h5.is_file():
            facts.problems.append(
                Finding("files of frames that cannot be read", where, f"{paths.h5.name}: {error.got}")
            )
        else:
            facts.problems.append(_missing(paths, where, error.got))
        return facts
    facts.problems += _check_shape(facts, expected, where)
    facts.times_us, problem = _read_times(paths, where)
    facts.problems += [problem] if problem else _check_times(facts, where)
    _read_some(reader, facts, expected.frames_read, where)
    if 2 * facts.empty > facts.read:
        detail = f"{facts.empty} of {facts.read} frames looked at"
        facts.problems.append(Finding("sequences of mostly empty frames", where, detail, wrong=False))
    return facts


def inspect_labelled(
    paths: SequencePaths, labelled: npt.NDArray[np.int64], frames_read: int | None, where: str
) -> Iterator[Finding]:
    """Labels whose frames are all empty lie on another clock than the events; a few frames are decoded.

    Args:
        paths: the sequence.
        labelled: indices of its labelled frames, int64 [F], all of them in the file.
        frames_read: how many to decode; None: all of them.
        where: the sequence, for messages.
    """
    reader, count = FrameReader(paths.h5), _how_many(len(labelled), frames_read)
    for place in _spread(len(labelled), count):
        index = int(labelled[place])
        try:
            if reader.read(index, index + 1).any():
                return
        except UserError:  # told already, or in a frame that nobody looks at
            return
    if count:
        detail = f"all {count} looked at, of {len(labelled)}: labels and events are most likely on two clocks"
        fix = "see docs/LABEL_TIMES.md, put both on one clock and preprocess the sequence again"
        yield Finding("labelled frames without an event", where, detail, fix=fix)


def _missing(paths: SequencePaths, where: str, got: str) -> Finding:
    """Say what there is instead of the file of frames."""
    others = sorted(str(file.relative_to(paths.root / EV_DIR)) for file in paths.root.glob(f"{EV_DIR}/*/*.h5"))
    others = [name for name in others if name != str(paths.h5.relative_to(paths.root / EV_DIR))]
    detail = f"{paths.ev_repr_name}/{paths.h5.name}: {got}"
    if not others:
        return Finding("missing files", where, detail)
    fix = "choose the dataset that these files belong to, or set dataset.representation and downsample_by_factor_2 so"
    return Finding("missing files", where, f"{detail}, but there is {', '.join(others[:3])}", fix=fix)


def _check_shape(facts: FrameFacts, expected: Expectation, where: str) -> Iterator[Finding]:
    assert facts.shape is not None
    frames, *shape = facts.shape
    if expected.sensor_hw is not None and expected.channels is not None:
        height, width = expected.sensor_hw
        half = 2 if expected.downsampled else 1
        wanted = [expected.channels, height // half, width // half]
        if shape != wanted:
            yield Finding("frames of another shape", where, f"{_by(shape)} instead of {_by(wanted)}", fix=SHAPE_FIX)
    if expected.dtype is not None and facts.dtype != expected.dtype:
        yield Finding("frames of another type", where, f"{facts.dtype} instead of {expected.dtype}", fix=SHAPE_FIX)
    if frames == 0:
        yield Finding("sequences without frames", where, "0 frames")
    elif frames < expected.sequence_length:
        detail = f"{frames} frames, a training sample has {expected.sequence_length}"
        yield Finding("sequences shorter than a training sample", where, detail, wrong=False)


def _by(shape: list[int]) -> str:
    return " x ".join(map(str, shape))


def _read_times(paths: SequencePaths, where: str) -> tuple[npt.NDArray[np.int64] | None, Finding | None]:
    file = paths.frame_timestamps
    try:
        return load_indices(file), None
    except UserError as error:
        if not file.is_file():
            return None, Finding("missing files", where, f"{paths.ev_repr_name}/{file.name}: {error.got}")
        return None, Finding("files of times that cannot be read", where, f"{file.name}: {error.got}")


def _check_times(facts: FrameFacts, where: str) -> Iterator[Finding]:
    assert facts.shape is not None
    assert facts.times_us is not None
    if len(facts.times_us) != facts.shape[0]:
        yield Finding("other numbers of times than frames", where, f"{len(facts.times_us)} for {facts.shape[0]} frames")
        facts.times_us = None
    elif np.any(np.diff(facts.times_us) <= 0):
        first = int(np.argmax(np.diff(facts.times_us) <= 0)) + 1
        yield Finding("frame times that do not ascend", where, f"frame {first} at {facts.times_us[first]} µs")


def _read_some(reader: FrameReader, facts: FrameFacts, frames_read: int | None, where: str) -> None:
    """Decode frames one by one, evenly spread; damaged ones are a problem, the others are summed up."""
    assert facts.shape is not None
    total = facts.shape[0]
    for index in _spread(total, _how_many(total, frames_read)):
        try:
            frame = reader.read(index, index + 1)
        except UserError as error:
            facts.problems.append(Finding("frames that cannot be decoded", where, f"frame {index}: {error.got}"))
            return
        facts.read += 1
        facts.empty += not frame.any()
        facts.counts += int(_sum(frame))


def _how_many(total: int, wanted: int | None) -> int:
    return total if wanted is None else min(wanted, total)


def _spread(total: int, count: int) -> list[int]:
    """``count`` of the numbers below ``total``, evenly spread."""
    return np.unique(np.linspace(0, total - 1, count).astype(np.int64)).tolist() if count else []


def _sum(frame: npt.NDArray[Any]) -> int:
    return int(np.abs(frame).sum(dtype=np.int64)) if frame.dtype.kind in "iu" else 0
