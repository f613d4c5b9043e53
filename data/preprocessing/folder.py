"""The dataset's folder: one run at a time, nothing unfinished, one set of settings."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.errors import UserError

log = logging.getLogger(__name__)

_NOWHERE_TO_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@contextmanager
def exclusive(out_path: Path) -> Iterator[None]:
    """Hold the dataset's folder for one run; a killed run holds it no longer. Unfinished files go at both ends.

    Raises:
        UserError: the folder cannot be made, or another run writes into it.
    """
    try:
        out_path.mkdir(parents=True, exist_ok=True)
        handle = os.open(out_path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise cannot_write(error, out_path) from error
    try:
        _lock(handle, out_path)
        try:
            remove_unfinished(out_path)
            yield
        finally:
            remove_unfinished(out_path)
            _remove_empty(out_path)
    finally:
        os.close(handle)


def _lock(handle: int, out_path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(
            expected="no other run that writes into this folder",
            got="one",
            where=str(out_path),
            fix="wait for it, or give another dataset.path",
        ) from error
    except OSError as error:  # some network file systems cannot lock
        log.warning("%s cannot be locked (%s): start no second run on it", out_path, error)


def remove_unfinished(out_path: Path) -> None:
    """Remove what killed runs have left under temporary names; only while the folder is held."""
    folders = [out_path, *(path for path in sorted(out_path.glob("*")) if path.is_dir() and not path.is_symlink())]
    for folder in folders:
        for path in sorted(folder.glob(".*.tmp-*")):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _remove_empty(out_path: Path) -> None:
    for path in (*sorted(out_path.glob("*")), out_path):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # only empty folders can be removed
                path.rmdir()


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
    code = getattr(error, "errno", None)
    if code is None:
        stated = re.search(r"errno = (\d+)", str(error))  # as HDF5 says it
        code = int(stated.group(1)) if stated else None
    filename = getattr(error, "filename", None)
    ours = isinstance(filename, str) and Path(filename).is_relative_to(out_path)
    return code in _NOWHERE_TO_WRITE or (code is not None and ours)
