"""Checkpoints that appear whole, load without unpickling, and are found again by the same command."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from utils.atomic import atomic_path
from utils.errors import UserError

log = logging.getLogger(__name__)

LAST = "last.ckpt"
BEST = "best.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary name, syncs and renames; loads tensors and plain containers only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save ``checkpoint`` to ``path`` so that the file is whole or absent."""
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Load a checkpoint; nothing in it is executed.

        Raises:
            UserError: the file is missing or not a checkpoint.
        """
        return load_checkpoint_file(path, map_location)


def load_checkpoint_file(path: Path | str, map_location: Any = "cpu") -> dict[str, Any]:
    """Load a Lightning checkpoint as plain containers and tensors.

    Raises:
        UserError: the file is missing, damaged, or holds more than plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            expected="a checkpoint file", got="no such file", where=str(path), fix="give the path of a .ckpt file"
        )
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:
        raise UserError(
            expected="a checkpoint of tensors and plain containers",
            got=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            where=str(path),
            fix="give a whole checkpoint; of a file with pickled objects only the weights can be taken: weight=FILE",
        ) from error


def checkpoint_callbacks(folder: Path, every_n_steps: int) -> list[ModelCheckpoint]:
    """Keep the newest checkpoint and the one with the highest AP on val.

    Args:
        folder: of the run.
        every_n_steps: optimiser steps between two saves of the newest.
    """
    best = ModelCheckpoint(
        folder, Path(BEST).stem, monitor="val/AP", mode="max", save_top_k=1, enable_version_counter=False
    )
    last = ModelCheckpoint(
        folder, Path(LAST).stem, save_top_k=1, every_n_train_steps=every_n_steps, enable_version_counter=False
    )
    return [best, last]


def find_last(folder: Path | str) -> Path | None:
    """Return the newest checkpoint of a run, or None when the run is new."""
    path = Path(folder) / LAST
    return path if path.is_file() else None
