"""Sequences whose recording or boxes are no longer those that they were made of: refused, or made again and replaced."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from data.sequences.record import has_all_files, read_record
from data.sequences.sources import MADE_FROM, Sources
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
