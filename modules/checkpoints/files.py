"""Checkpoint files that appear whole, load without unpickling, are checked before use and never deleted unasked."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from modules.checkpoints.names import LAST
from utils.atomic import atomic_path
from utils.commands.run_lock import folder_error
from utils.errors import UserError
from utils.evaluation.coco import METRICS
from utils.settings import choice, whole

BEST = "best.ckpt"


@dataclass(frozen=True)
class Retention:
    """What is saved when, and what is kept (``checkpointing`` of the config).

    Args:
        every_n_steps: optimiser steps between two saves of ``last.ckpt``.
        keep_last: newest resume points that are kept: ``last.ckpt``, ``last-1.ckpt``, ...
        keep_best: whether ``best.ckpt`` follows the highest figure on val.
        monitor: that figure; None = the first of ``figures``.
        keep_every_n_steps: optimiser steps between two checkpoints that are kept for good; 0 keeps none.
        figures: those that there are on val, higher ones better.
        shown: those of the last validation that a finished run tells.

    Raises:
        UserError: a count out of range, or an unknown figure.
    """

    every_n_steps: int = 2000
    keep_last: int = 2
    keep_best: bool = True
    monitor: str | None = None
    keep_every_n_steps: int = 0
    figures: tuple[str, ...] = METRICS
    shown: tuple[str, ...] = METRICS[:2]

    def __post_init__(self) -> None:
        for name, least in (("every_n_steps", 1), ("keep_last", 1), ("keep_every_n_steps", 0)):
            whole(getattr(self, name), f"checkpointing.{name}", least)
        if self.monitor is not None:
            choice(self.monitor, self.figures, "checkpointing.monitor")


def step_name(step: int) -> str:
    """File name of a checkpoint that is kept for good: ``step_00020000.ckpt``."""
    return f"step_{step:08d}.ckpt"


def last_name(age: int) -> str:
    """File name of the newest resume point (age 0) and of those before it: ``last.ckpt``, ``last-1.ckpt``, ..."""
    return LAST if age == 0 else f"last-{age}.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary name, syncs and renames; loads tensors and plain containers only.

    A failure to write is kept until ``raise_failure``: in between Lightning lets all processes wait for each other,
    and one that raised at once would leave the others waiting.
    """

    def __init__(self) -> None:
        self._watched: tuple[Path, int, int] | None = None
        self._failure: UserError | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save so that the file is whole or absent; called on the first process only.

        Args:
            checkpoint: tensors and plain containers.
            path: of the file.
            storage_options: ``{"keep": k}`` keeps the k-1 files that had this name before as ``NAME-1``, ...
        """
        try:
            self._check_folder()
            write_checkpoint(checkpoint, Path(path), (storage_options or {}).get("keep", 1))
        except UserError as error:
            self._failure = error

    def watch(self, folder: Path) -> None:
        """From now on write only while this very folder is there, not an empty mount point in its place."""
        there = folder.stat()
        self._watched = folder, there.st_dev, there.st_ino

    def _check_folder(self) -> None:
        if self._watched is None:
            return
        folder, *identity = self._watched
        try:
            there = folder.stat()
        except OSError as error:
            raise folder_error(folder, error) from error
        if [there.st_dev, there.st_ino] != identity:
            raise folder_error(folder, None)

    def raise_failure(self, trainer: pl.Trainer) -> None:
        """Raise on all processes what the first one could not write; collective.

        Raises:
            UserError: the last save failed.
        """
        failure, self._failure = self._failure, None
        if trainer.strategy.reduce_boolean_decision(failure is None, all=True):
            return
        raise failure or UserError(
            expected="a checkpoint that can be written",
            got="the first process could not write it",
            where="output.dir",
            fix="see the message of the first process",
        )

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Load a checkpoint; nothing in it is executed.

        Raises:
            UserError: the file is missing or not a checkpoint.
        """
        return load_checkpoint_file(path, map_location)


def write_checkpoint(checkpoint: dict[str, Any], path: Path, keep: int = 1) -> None:
    """Write a checkpoint whole or not at all; what had its name before is kept as ``NAME-1`` and so on.

    Args:
        checkpoint: tensors and plain containers.
        path: of the file.
        keep: files kept, this one counted.

    Raises:
        UserError: it cannot be written (disk full, read-only, mount gone); the files before are intact.
    """
    try:
        with atomic_path(path) as temporary:
            # Through a Python file: its errors keep their numbers, and torch's own writer has none.
            with open(temporary, "wb") as handle:
                torch.save(checkpoint, handle)
            _age(path, keep)
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        got = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(error).splitlines()[0]
        raise UserError(
            expected=f"room and permission to write the checkpoint of step {checkpoint.get('global_step')}",
            got=str(got),
            where=str(path),
            fix="make room, give write permission or bring the mount back, then start the same command again; "
            "the checkpoints before are intact",
        ) from error


def _age(path: Path, keep: int) -> None:
    """Rename ``NAME-1`` to ``NAME-2`` and so on, and let ``NAME`` be ``NAME-1`` too."""
    if keep < 2 or not path.is_file():
        return
    aged = [path.with_name(f"{path.stem}-{age}{path.suffix}") for age in range(1, keep)]
    for younger, older in zip(reversed(aged[:-1]), reversed(aged[1:]), strict=True):
        if younger.is_file():
            os.replace(younger, older)
    try:
        aged[0].unlink(missing_ok=True)
        os.link(path, aged[0])
    except OSError:  # a file system without hard links: for a moment only NAME-1 is there
        os.replace(path, aged[0])


def keep_copy(path: Path, target: Path) -> None:
    """Keep a checkpoint under a second name (a hard link where the file system has them).

    Raises:
        UserError: the copy cannot be written.
    """
    try:
        with atomic_path(target) as temporary:
            try:
                os.link(path, temporary)
            except OSError:
                shutil.copyfile(path, temporary)
    except OSError as error:
        raise UserError(
            expected="room and permission to keep a checkpoint",
            got=str(error.strerror),
            where=str(target),
            fix="make room, then start the same command again, or set checkpointing.keep_every_n_steps=0",
        ) from error


def load_checkpoint_file(path: Path | str, map_location: Any = "cpu") -> dict[str, Any]:
    """Load a Lightning checkpoint as plain containers and tensors.

    Raises:
        UserError: the file is missing, cannot be read, is damaged, or holds more than plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            expected="a checkpoint file", got="no such file", where=str(path), fix="give the path of a .ckpt file"
        )
    try:
        _check_sums(path)
        state = torch.load(path, map_location=map_location, weights_only=True)
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place before the beginning of a file that was cut off
            raise DamagedCheckpoint(path, error) from error
        raise UserError(
            expected="a checkpoint that can be read",
            got=str(error.strerror or error),
            where=str(path),
            fix="give read permission or bring the disk or mount back, then start the same command again",
        ) from error
    except Exception as error:
        raise DamagedCheckpoint(path, error) from error
    if not isinstance(state, dict):
        raise DamagedCheckpoint(path, TypeError(f"the file holds a {type(state).__name__}"))
    return state


class DamagedCheckpoint(UserError):
    """A file that is not, or no longer, a checkpoint of plain data.

    Args:
        path: of the file.
        error: what reading it raised.
    """

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(
            expected="a checkpoint of tensors and plain containers",
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            where=str(path),
            fix="give a whole checkpoint; of a file with pickled objects only the weights can be taken: weight=FILE",
        )


def _check_sums(path: Path) -> None:
    """Compare the checksums of a zip archive's members, and look at a number that torch trusts; torch does neither."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            alignment = [archive.read(name) for name in archive.namelist() if name.endswith("/.storage_alignment")]
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        if not all(text.isdigit() and int(text[:9]) > 0 for text in alignment):  # torch divides by it unasked
            raise zipfile.BadZipFile("its storage alignment is no whole number above 0")
