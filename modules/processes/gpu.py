"""Whether a GPU that is asked for can be there, told in no time: torch, which knows for sure, takes seconds to load."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.errors import UserError

_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Of NVIDIA's driver, of Windows' subsystem for Linux, of AMD's driver."""
_DRIVER = "libcuda.so.1"


def lacks_gpu(config: Mapping[str, Any]) -> bool:
    """Whether a configuration (plain containers) asks for a GPU and this machine has no driver of one."""
    if config["hardware"]["accelerator"] != "gpu" or any(Path(file).exists() for file in _DEVICES):
        return False
    try:
        ctypes.CDLL(_DRIVER)  # small boards of NVIDIA have it without those files
    except OSError:
        return True
    return False


def check_gpu(config: Mapping[str, Any]) -> None:
    """Refuse a configuration that asks for a GPU where none can be; once torch is loaded, that is asked instead.

    Raises:
        UserError: there is no driver of a GPU.
    """
    if "torch" not in sys.modules and lacks_gpu(config):
        raise no_gpu()


def no_gpu() -> UserError:
    """The error for a GPU that is asked for and not there."""
    return UserError(
        expected="a CUDA GPU",
        got="none on this machine",
        where="hardware.accelerator=gpu (the default)",
        fix="add hardware.accelerator=cpu to the command",
    )
