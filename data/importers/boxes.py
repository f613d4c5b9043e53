"""Boxes in another project's layout, laid beside the recordings that they belong to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.box_files.layouts import read_pictures
from data.box_files.picture import Picture
from data.box_files.read import BESIDE, BoxContext, refuse_nameless, rows_of
from data.box_files.times import ImageTimes
from data.events.bbox import read_bbox_npy, write_bbox_npy
from data.preprocessing.config import PreprocessConfig
from data.preprocessing.filters import filter_and_count, refuse_unknown
from data.preprocessing.recordings import SPLITS, recordings_in
from data.sequences.account import BoxAccount
from utils.boxes import LEFT_OUT_CLASS
from utils.errors import UserError

log = logging.getLogger(__name__)

NO_RECORDING = "on images of no recording"
LEFT_OUT = "left out by class_names or by a mark in the file"
BEFORE_ZERO = "before time 0"

TimesOf = Callable[[Path], ImageTimes]
"""When the images of a recording were taken."""


@dataclass(frozen=True)
class ImportedBoxes:
    """Boxes for one recording.

    Attributes:
        file: where they go.
        split: of the recording.
        images: how many there are, those without boxes too.
        boxes: ``BBOX_DTYPE`` [N], by time.
        left_out: boxes that are not among them.
    """

    file: Path
    split: str
    images: int
    boxes: npt.NDArray[Any]
    left_out: int


def plan_import(
    raw_path: Path, source: Path, context: BoxContext, times_of: TimesOf, splits: Sequence[str] = SPLITS
) -> tuple[list[ImportedBoxes], BoxAccount]:
    """Boxes of ``source`` for the recordings of ``<raw_path>/<split>``; nothing is written.

    An image belongs to the recording that a folder of its name, or the beginning of its name, is called as; the longest
    such name is meant. A file called as a recording holds images of it. Boxes of one time are put in an order of their
    own, so that the same boxes give the same file, whatever layout they come in.

    Args:
        raw_path: folder with a folder for each split.
        source: file or folder of boxes.
        context: layout, classes, size; its times and recording are not used.
        times_of: called with each recording that has images.
        splits: which of train, val, test.

    Returns:
        Files to be written, sorted by split and name; and what became of every box.

    Raises:
        UserError: no recordings, boxes that cannot be read, or none of them on images of a recording.
    """
    recordings = {split: recordings_in(raw_path / split) for split in splits if (raw_path / split).is_dir()}
    _check_recordings(recordings, raw_path)
    pictures = read_pictures(source, context.layout, context.hw)
    owners = _by_recording(pictures, set(_names(recordings)), source)
    lost = sum(len(picture.boxes) for picture in owners.pop(None, []))
    if not owners:
        raise UserError(
            expected="images named after recordings, as NAME/000001.png or NAME_000001.png",
            got=f"{len(pictures)} images, the first {pictures[0].name}" if pictures else "no image",
            where=str(source),
            fix=f"call their folder or file as the recording, for example {next(_names(recordings))}",
        )
    refuse_nameless((picture for mine in owners.values() for picture in mine), context.classes, str(source))
    labels = [box.label for mine in owners.values() for picture in mine for box in picture.boxes if box.counts]
    context.classes.ids(labels, str(source))  # all unknown names at once
    account, planned = BoxAccount(), []
    account.add(lost, 0, {NO_RECORDING: lost})
    for split, found in recordings.items():
        for name, recording in found.items():
            if name not in owners:
                log.warning("%s/%s: no image in %s belongs to it, it gets no boxes", split, name, source)
                continue
            own = replace(context, times=times_of(recording), recording=name)
            rows = rows_of(owners[name], own, f"{source}, images of {name}")
            rows = rows[np.lexsort([rows[key] for key in ("class_id", "h", "w", "y", "x", "t")])]
            kept = rows[rows["class_id"] != LEFT_OUT_CLASS]
            account.add(len(rows), len(kept), {LEFT_OUT: len(rows) - len(kept)})
            file = recording.with_name(f"{name}{BESIDE[0]}")
            planned.append(ImportedBoxes(file, split, len(owners[name]), kept, len(rows) - len(kept)))
    _check_ids(planned, context, source)
    return planned, account


def foreseen(planned: Sequence[ImportedBoxes], cfg: PreprocessConfig) -> tuple[dict[str, BoxAccount], int]:
    """What preprocessing will leave out of a plan by number, class, place, size or a time before 0.

    Returns:
        an account for each split that has boxes; and how many boxes are there once more at the same time.
    """
    accounts: dict[str, BoxAccount] = {}
    again = 0
    for one in planned:
        kept, dropped = filter_and_count(one.boxes, cfg, one.split)
        early = int((kept["t"] < 0).sum())
        dropped[BEFORE_ZERO] = early
        accounts.setdefault(one.split, BoxAccount()).add(len(one.boxes), len(kept) - early, dropped)
        keys = one.boxes[["t", "x", "y", "w", "h", "class_id"]]  # rows are sorted by these
        again += int((keys[1:] == keys[:-1]).sum())
    return accounts, again


def check_free(planned: Sequence[ImportedBoxes], overwrite: bool) -> None:
    """Refuse a plan that would replace other boxes, or stand beside them.

    Raises:
        UserError: there are other boxes beside a recording, and they are not to be replaced, or are a table.
    """
    tables = [one.file.with_suffix(".csv") for one in planned if one.file.with_suffix(".csv").is_file()]
    other = [one.file for one in planned if one.file.is_file() and not overwrite and _differs(one)]
    for paths, fix in ((tables, "remove these files"), (other, "set overwrite=true to replace them")):
        if paths:
            raise UserError(
                expected="recordings without other boxes beside them",
                got=", ".join(path.name for path in paths[:3]) + ", ..." * (len(paths) > 3),
                where=str(paths[0].parent),
                fix=fix,
            )


def write_import(planned: Sequence[ImportedBoxes]) -> None:
    """Write the files of a plan; each appears whole."""
    for one in planned:
        write_bbox_npy(one.file, one.boxes)


def _differs(one: ImportedBoxes) -> bool:
    return not np.array_equal(read_bbox_npy(one.file), one.boxes)


def _names(recordings: dict[str, dict[str, Path]]) -> Iterator[str]:
    return (name for found in recordings.values() for name in found)


def _check_recordings(recordings: dict[str, dict[str, Path]], raw_path: Path) -> None:
    """Refuse a folder without recordings, and two recordings of one name."""
    seen: dict[str, Path] = {}
    for found in recordings.values():
        for name, path in found.items():
            if name in seen:
                raise UserError(
                    expected="one recording per name, as images are found by it",
                    got=f"{seen[name]} and {path}",
                    where=str(raw_path),
                    fix="rename one of them",
                )
            seen[name] = path
    if not seen:
        raise UserError(
            expected="recordings in train, val or test",
            got="none",
            where=str(raw_path),
            fix="give the folder that holds train, val and test as raw_path",
        )


def _by_recording(pictures: Sequence[Picture], names: Collection[str], source: Path) -> dict[str | None, list[Picture]]:
    """Images by the longest name of a recording that they belong to, None for no recording.

    Images of one series belong to the only recording that there is, whatever they are called.

    Raises:
        UserError: an image is called as two recordings, of which neither's name begins with the other's.
    """
    found: dict[str | None, list[Picture]] = {}
    for picture in pictures:
        mine = [name for name in picture.owners() if name in names]
        others = [name for name in mine if not mine[0].startswith(name)]
        if others:
            raise UserError(
                expected="images that are called as one recording, by file, folder and name",
                got=f"{picture.name}, called as {mine[0]} and as {others[0]}",
                where=str(source),
                fix="rename what is called as the wrong one, or move the boxes to the file of their recording",
            )
        found.setdefault(mine[0] if mine else None, []).append(picture)
    if list(found) == [None] and len(names) == 1 and len({picture.series for picture in pictures}) == 1:
        return dict.fromkeys(names, found[None])
    return found


def _check_ids(planned: Sequence[ImportedBoxes], context: BoxContext, source: Path) -> None:
    """Refuse numbers that stand for no class of the dataset."""
    if context.classes.names is None or not planned:
        return
    ids, counts = np.unique(np.concatenate([one.boxes["class_id"] for one in planned]), return_counts=True)
    numbered = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    refuse_unknown(numbered, len(context.classes.names), str(source), context.classes.names)
