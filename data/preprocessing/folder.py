"""The dataset's folder: one run at a time, nothing of it in other places, nothing unfinished."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data.preprocessing.manifest import settings_of_folder
from data.preprocessing.recordings import SPLITS
from data.preprocessing.shards import refuse_shards
from utils.atomic import remove, temporaries
from utils.commands.run_lock import RunLock
from utils.commands.system_errors import errno_of
from utils.errors import UserError

_NOWHERE_TO_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@contextmanager
def exclusive(out_path: Path) -> Iterator[None]:
    """Hold the dataset's folder for one run; a killed run holds it no longer.

    Unfinished files of a killed run go first, those of this one last, and empty folders with them. In a folder that is
    no dataset only what this run made can go: it may be there by mistake.

    Raises:
        UserError: the folder cannot be made, or another run writes into it.
    """
    splits = [out_path / split for split in SPLITS]
    there = [split for split in splits if split.exists()]
    with RunLock(out_path, "dataset.path") as lock:
        refuse_shards(out_path)
        known = lock.left_behind or _is_dataset(out_path)
        others = [] if known else unfinished(out_path)
        try:
            _remove_unfinished(out_path, others)
            yield
        finally:
            _remove_unfinished(out_path, others)
            for split in splits:
                if (known or split not in there) and not split.is_symlink():
                    with suppress(OSError):  # only empty folders can be removed
                        split.rmdir()


def refuse_links(out_path: Path, splits: Iterable[str]) -> None:
    """Refuse to write a split that is a link: what it leads to is another dataset's, ground truth perhaps.

    Raises:
        UserError: which split, and where it leads.
    """
    for split in sorted(set(splits)):
        if (out_path / split).is_symlink():
            raise UserError(
                expected=f"a folder for the {split} split, or nothing there yet",
                got=f"a link to {(out_path / split).resolve()}",
                where=str(out_path / split),
                fix="give another dataset.path, or remove the link",
            )


def refuse_others(folders: Iterable[Path]) -> None:
    """Refuse to make a sequence where something lies that is no folder: a file, or a link that leads nowhere.

    Raises:
        UserError: the first of them.
    """
    for folder in folders:
        if not folder.is_dir() and os.path.lexists(folder):
            raise UserError(
                expected="a sequence's folder, or nothing there yet",
                got="a link that leads to no folder" if folder.is_symlink() else "a file",
                where=str(folder),
                fix="remove it, then start the same command again",
            )


def unfinished(out_path: Path) -> list[Path]:
    """What killed runs have left under temporary names of this project, in the folder and its splits."""
    splits = [path for split in SPLITS if (path := out_path / split).is_dir() and not path.is_symlink()]
    return [path for folder in (out_path, *splits) for path in temporaries(folder)]


def _remove_unfinished(out_path: Path, others: list[Path]) -> None:
    for path in unfinished(out_path):
        if path not in others:
            remove(path)


def _is_dataset(out_path: Path) -> bool:
    try:
        return settings_of_folder(out_path) is not None
    except UserError:  # the manifest of something else
        return False


def cannot_write(error: Exception, out_path: Path) -> UserError:
    """The error for a place that takes no files."""
    return UserError(
        expected="a folder with room that can be written to",
        got=" ".join(str(error).split()),
        where=str(out_path),
        fix="make room or give another dataset.path, then start the same command again; finished sequences are kept",
    )


def no_more_writing(error: Exception, out_path: Path) -> bool:
    """Whether an error says that nothing more can be written, rather than that one recording is bad."""
    code = errno_of(error)
    filename = getattr(error, "filename", None)
    ours = isinstance(filename, str) and Path(filename).is_relative_to(out_path)
    return code in _NOWHERE_TO_WRITE or (code is not None and ours)
