"""Whether there is a dataset at all: asked before anything is loaded that takes its time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.errors import UserError

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Of NVIDIA's driver, of Windows' subsystem for Linux, of AMD's driver."""


def check_dataset_folder(config: Mapping[str, Any]) -> None:
    """Check that the folder of the dataset is there.

    Args:
        config: the composed configuration as plain containers.

    Raises:
        UserError: it is not.
    """
    path = Path(config["dataset"]["path"])
    if not path.is_dir():
        lacks_gpu = config["hardware"]["accelerator"] == "gpu" and not any(Path(file).exists() for file in _GPU_DEVICES)
        raise UserError(
            expected="a dataset folder with train, val and test",
            got="no such folder",
            where=f"dataset.path={path}",
            fix="download or make the dataset, or give its place: dataset.path=FOLDER"
            + ("; without a GPU add hardware.accelerator=cpu too" if lacks_gpu else ""),
        )
