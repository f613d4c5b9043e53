"""The files a sequence was made of: whether they stayed the same while it was made, and have since."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from data.payloads.chunks import threads_of
from data.sequences.record import RECORD_FILE, file_sum
from utils.errors import UserError

MADE_FROM = "made_from"
"""Key of a record: size and SHA-256 of each of these files, by name."""


class Sources:
    """Files as they are now, before a sequence is made of them.

    Args:
        files: a recording and its boxes, each a file or a folder of files; one that is not there is left out.
    """

    def __init__(self, *files: Path) -> None:
        self.name = files[0].name if files else ""
        self.files = {name: path for each in files for name, path in _files(each)}
        self._states = {name: _state(path) for name, path in self.files.items()}
        self._summing: Future[dict[str, dict[str, Any]]] | None = None

    def start(self) -> None:
        """Let a thread take the sums while the sequence is made."""
        self._summing = threads_of(os.getpid()).submit(self._sums)

    def _sums(self) -> dict[str, dict[str, Any]]:
        return {name: file_sum(path) for name, path in self.files.items()}

    def sums(self) -> dict[str, dict[str, Any]]:
        """Size and SHA-256 of each file by its name, once the sequence is made.

        Raises:
            UserError: a file has changed since, as one does that is still being copied.
        """
        sums = self._summing.result() if self._summing else self._sums()
        for name, path in self.files.items():
            if _state(path) != self._states[name]:
                raise UserError(
                    expected="a file that stays as it is while it is read",
                    got="one that changed meanwhile",
                    where=str(path),
                    fix="wait until it is whole",
                )
        return sums

    def changed_since(self, root: Path, record: Mapping[str, Any]) -> list[str]:
        """What differs from the files that a sequence was made of; empty if nothing does.

        A file of the same size that is no newer than the sequence is taken to be the same; others are read.

        Args:
            root: the sequence's folder.
            record: of the sequence; one of an older version does not say what it was made of, and nothing differs.
        """
        before = record.get(MADE_FROM)
        if before is None:
            return []
        here = self.files
        changed = [f"{name} is gone" for name in sorted(before.keys() - here.keys())]
        changed += [f"{name} is new" for name in sorted(here.keys() - before.keys())]
        made, read = (root / RECORD_FILE).stat().st_mtime_ns, False
        for name in sorted(before.keys() & here.keys()):
            state = here[name].stat()
            if state.st_size != before[name]["bytes"]:
                changed.append(f"{name} has {state.st_size} bytes, had {before[name]['bytes']}")
            elif max(state.st_mtime_ns, state.st_ctime_ns) > made:
                read = True
                if file_sum(here[name]) != before[name]:
                    changed.append(f"{name} has another content")
        if read and not changed:
            with suppress(OSError):  # the next time they need not be read
                os.utime(root / RECORD_FILE)
        return changed

    def newer_than(self, root: Path) -> list[str]:
        """Names of files that were written after a sequence whose record does not say what it was made of."""
        made = (root / RECORD_FILE).stat().st_mtime_ns
        return [name for name, path in self.files.items() if path.stat().st_mtime_ns > made]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Files of a source by name, those of a folder behind the folder's."""
    if path.is_file():
        yield path.name, path
    for file in sorted(path.rglob("*")) if path.is_dir() else ():
        if file.is_file():
            yield f"{path.name}/{file.relative_to(path)}", file


def _state(path: Path) -> Sequence[int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
