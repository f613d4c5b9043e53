"""train.py with processes of different speed: the second one is late at every batch, and stays away until a signal."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import train
from modules.data.genx import DataModule
from modules.training.preemption import Preemption

LATE_S = 0.3
AWAY_AT = 6
"""Batch before which this process waits for the signal, while the other one waits for it in the middle of a step."""


def make_late() -> None:
    """Let this process wait before each batch, in validation too."""
    before = DataModule.transfer_batch_to_device
    count = 0

    def late(self: DataModule, *arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        time.sleep(LATE_S)
        while count == AWAY_AT and not _asked_to_stop(self):
            time.sleep(LATE_S)
        return before(self, *arguments, **more)

    DataModule.transfer_batch_to_device = late  # type: ignore[method-assign]


def _asked_to_stop(module: DataModule) -> bool:
    assert module.trainer is not None
    callbacks = module.trainer.callbacks  # type: ignore[attr-defined]
    return any(callback.signum for callback in callbacks if isinstance(callback, Preemption))


if __name__ == "__main__":
    if os.environ["SLURM_PROCID"] == "1" and "SLURM_RESTART_COUNT" not in os.environ:
        make_late()
    train.main()
