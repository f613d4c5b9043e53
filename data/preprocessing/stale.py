"""Sequences whose recording or boxes are no longer those that they were made of: refused, made again, or removed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from data.preprocessing.manifest import sequence_folders
from data.sequences.record import RECORD_FILE, file_sum, files_below, has_all_files, read_record
from data.sequences.sources import MADE_FROM, Sources
from utils.atomic import discard
from utils.errors import UserError

log = logging.getLogger(__name__)

_MOST_SHOWN = 10


def refuse_stale(made: Iterable[tuple[Path, tuple[Path, ...]]], refresh: bool) -> set[Path]:
    """Look at the finished ones among some sequences before any is made.

    Args:
        made: each sequence's folder, and its recording and boxes as they are now.
        refresh: tell which are to be made again, instead of refusing.

    Returns:
        Folders of the sequences to be replaced; each stays until its successor is whole.

    Raises:
        UserError: files have changed, and ``refresh`` is not set.
    """
    stale: dict[Path, list[str]] = {}
    for root, files in made:
        record = read_record(root)
        if record is None or root.is_symlink() or not has_all_files(root, record):
            continue
        sources = Sources(*files)
        changed = sources.changed_since(root, record)
        if changed:
            stale[root] = changed
        elif MADE_FROM not in record and (newer := sources.newer_than(root)):
            log.warning("%s was made by an older version: whether it is of this %s is not known", root, newer[0])
    if stale and not refresh:
        told = [f"{root.parent.name}/{root.name}: {', '.join(changes)}" for root, changes in stale.items()]
        more = len(told) - _MOST_SHOWN
        raise UserError(
            expected="the recordings and boxes that the finished sequences were made of",
            got=f"{len(told)} changed: " + " | ".join(told[:_MOST_SHOWN]) + f" | and {more} more" * (more > 0),
            where="raw_path",
            fix="add --refresh to make these sequences again, or give another dataset.path",
        )
    for root, changes in stale.items():
        log.warning("%s/%s is made again: %s", root.parent.name, root.name, ", ".join(changes))
    return set(stale)


def without_recording(out_path: Path, wanted: Mapping[str, Iterable[str]], refresh: bool) -> dict[str, list[str]]:
    """Name the sequences of a dataset that none of the recordings would make.

    Args:
        out_path: the dataset's folder.
        wanted: by split, names of the sequences that the recordings make; other splits are left alone.
        refresh: remove those that preprocessing made and nobody has changed.

    Returns:
        By split, names of those that stay.
    """
    staying: dict[str, list[str]] = {}
    for split, names in wanted.items():
        known = set(names)
        roots = [root for root in sequence_folders(out_path / split) if root.name not in known]
        gone = {root for root in roots if refresh and _is_ours(root)}
        for root in roots:
            if root in gone:
                discard(root)
                log.warning("%s/%s is removed: raw_path has no recording of it any more", split, root.name)
            else:
                fix = "others made or changed it, so it stays" if refresh else "--refresh removes it if it is of here"
                log.warning("%s/%s: raw_path has no recording of it; %s", split, root.name, fix)
        staying[split] = [root.name for root in roots if root not in gone]
    return staying


def _is_ours(root: Path) -> bool:
    """Whether preprocessing made all that a sequence's folder holds, as it is."""
    record = None if root.is_symlink() else read_record(root)
    if record is None or set(files_below(root)) != {RECORD_FILE, *record["files"]}:
        return False
    return all(file_sum(root / name) == facts for name, facts in record["files"].items())
