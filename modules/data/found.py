"""Whether there is a dataset, and a folder that is free: asked before anything is loaded that takes its time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from modules.processes.gpu import check_gpu, lacks_gpu
from utils.commands.processes import process_rank
from utils.commands.run_lock import RunLock
from utils.errors import UserError


def check_dataset_folder(config: Mapping[str, Any]) -> None:
    """Check that the folder of the dataset is there.

    Args:
        config: the composed configuration as plain containers.

    Raises:
        UserError: it is not.
    """
    path = Path(config["dataset"]["path"])
    if not path.is_dir():
        raise UserError(
            expected="a dataset folder with train, val and test",
            got="no such folder",
            where=f"dataset.path={path}",
            fix="download or make the dataset, or give its place: dataset.path=FOLDER"
            + ("; without a GPU add hardware.accelerator=cpu too" if lacks_gpu(config) else ""),
        )


def check_free(folder: Path | str, key: str) -> None:
    """Look whether another process works in a folder that this one will take later.

    Args:
        folder: of the command.
        key: what the user sets to it.

    Raises:
        UserError: one does.
    """
    if process_rank() == 0:
        with suppress(OSError):  # told when it is taken
            RunLock(folder, key).refuse_held()


def check_at_once(config: Mapping[str, Any], folder: Path | str, key: str) -> None:
    """What is told before torch is loaded: nobody else works in the folder, and dataset and GPU are there.

    Raises:
        UserError: one of these is not so.
    """
    check_free(folder, key)
    check_dataset_folder(config)
    check_gpu(config)
