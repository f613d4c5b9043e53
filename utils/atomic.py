"""Files and folders that appear whole or not at all: write to a temporary name, fsync, rename."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from utils.errors import UserError

_MARK = ".tmp-leod-"
"""In the name of every temporary file and folder of this project, and of nobody else's, before a process id."""


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}{_MARK}{os.getpid()}")


def temporaries(folder: Path | str, pattern: str = "*") -> list[Path]:
    """What killed processes left of ``atomic_path`` and ``atomic_dir`` in a folder, sorted; links are never of these.

    Args:
        folder: where files or folders were to appear.
        pattern: of the names that they were to have, e.g. ``*.ckpt``.
    """
    found = (path for path in Path(folder).glob(f".{pattern}{_MARK}*") if not path.is_symlink())
    return sorted(path for path in found if re.search(re.escape(_MARK) + r"\d+$", path.name))


def remove_temporaries(folder: Path | str, pattern: str = "*") -> None:
    """Remove ``temporaries``; only where no other process can be writing."""
    for path in temporaries(folder, pattern):
        remove(path)


def refuse_taken(path: Path, key: str, starts: str) -> None:
    """Refuse to write over a file that is not of the kind that is about to be written.

    Args:
        path: of the file, usually not there yet.
        key: where the user gives it, for the message.
        starts: how such a file begins.

    Raises:
        UserError: there is a file that begins otherwise.
    """
    if path.is_file():
        with path.open("rb") as handle:
            if handle.read(len(starts.encode())) == starts.encode():
                return
        raise UserError(
            expected="a new file, or one that this command wrote",
            got="another file of that name",
            where=f"{key}={path}",
            fix="give another name, or remove that file",
        )


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that it holds; a folder that cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder that others may look at: it is gone at once, or still there, never half of it."""
    temporary = _temporary_name(folder.with_name(f"{folder.name}{_MARK}old"))  # another than that of its successor
    os.replace(folder, temporary)
    remove(temporary)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary file path beside ``path``; on success it is synced and renamed, on error removed.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    temporary.unlink(missing_ok=True)  # a link of this name would be written through
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a write to a full disk does not say of which file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: Path | str, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; on success it is renamed to ``path``, on error removed.

    An existing ``path`` must be absent or empty by the time of the rename, otherwise OSError is raised and nothing
    changes; with ``replace`` it goes in that moment, and not before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    remove(temporary)
    temporary.mkdir()
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                file = Path(folder) / name
                if not file.is_symlink():
                    with open(file, "rb") as handle:
                        os.fsync(handle.fileno())
            _sync_directory(Path(folder))
        if replace and path.exists():
            discard(path)
        os.replace(temporary, path)
        _sync_directory(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically, keys in the given order, two spaces, one newline at the end."""
    write_text(path, json.dumps(value, indent=2) + "\n")
