"""Which task a dataset's folder is for, as against the task of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.clips.files import SUFFIX, open_sequence
from models.registry import spec_of_section
from utils.errors import UserError

SPLITS = ("train", "val", "test")

HOLDS = {
    "detection": "folders of sequences, events with boxes",
    "restoration": "files of clips, blurred and sharp frames",
}
"""What a dataset's splits hold, by the task that it is for."""


def task_of_folder(folder: Path | str) -> str | None:
    """The task that a dataset's folder is for; None where its splits hold neither, or both."""
    entries = [entry for split in SPLITS for entry in Path(folder, split).glob("[!.]*")]
    sequences = any(entry.is_dir() for entry in entries)
    files = sorted(entry for entry in entries if entry.suffix == SUFFIX and entry.is_file())
    if sequences or not files:
        return "detection" if sequences and not files else None
    try:
        open_sequence(files[0])
    except UserError:  # recordings, perhaps
        return None
    return "restoration"


def check_kind(model: Mapping[str, Any], folder: Path | str, checkpoint: Path | str | None = None) -> None:
    """Refuse a dataset for another task than the model's; one of which nothing is known is left to its reader.

    Args:
        model: the section of this name.
        folder: of the dataset.
        checkpoint: that the model comes from; None for the command itself.

    Raises:
        UserError: it is for another task.
    """
    spec, found = spec_of_section(model), task_of_folder(folder)
    if found is None or found == spec.task or spec.task not in HOLDS:
        return
    whose = f"the model is '{spec.family}'" if checkpoint is None else f"{checkpoint} holds '{spec.family}'"
    other = "model=NAME of one" if checkpoint is None else "a checkpoint of a model"
    raise UserError(
        expected=f"{HOLDS[spec.task]}: {whose}, a model for {spec.task}",
        got=f"{HOLDS[found]}: a dataset for {found}",
        where=f"dataset.path={folder}",
        fix=f"give dataset=NAME dataset.path=FOLDER of a dataset for {spec.task}, or {other} for {found}",
    )
