"""Work that several processes share without training: each does its part, and they wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytorch_lightning as pl
import torch

from modules.processes.host_group import host_barrier
from modules.processes.launcher import leave_process_group

T = TypeVar("T")


@dataclass(frozen=True)
class Process:
    """One of the processes of a command.

    Attributes:
        rank: its number; 0 is the one that writes what all share.
        world_size: how many there are.
        device: where its detector runs.
        barrier: returns when every process has called it.
    """

    rank: int
    world_size: int
    device: torch.device
    barrier: Callable[[], None]


def run_in_processes(trainer: pl.Trainer, work: Callable[[Process], T]) -> T:
    """Call ``work`` in every process that a trainer would use, in its precision.

    Args:
        trainer: built for the devices, processes and nodes of the command; nothing is fitted with it.
        work: what to do; it gets the process it runs in.

    Returns:
        What ``work`` returned in this process.
    """
    strategy = trainer.strategy

    def begin() -> T:
        strategy.setup_environment()
        process = Process(trainer.global_rank, trainer.world_size, strategy.root_device, host_barrier)
        with trainer.precision_plugin.forward_context():
            result = work(process)
        host_barrier()
        return result

    try:
        return begin() if strategy.launcher is None else strategy.launcher.launch(begin, trainer=trainer)
    finally:
        leave_process_group()
