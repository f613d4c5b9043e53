"""Stopping a run after a time, between two batches and with everything saved."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from modules.processes.gather import world
from modules.processes.host_group import SharedFlags, largest_of_all
from utils.commands.signals import CommandStopped
from utils.errors import UserError

TRY_AGAIN = 75
"""Exit status of a run that stopped before its end and goes on with the same command (EX_TEMPFAIL of sysexits.h)."""


class StopAfter(Checkpoint):
    """Saves and stops when training has taken a time, counted from each start of the command anew.

    It is a ``Checkpoint`` so that Lightning runs it after the other callbacks. The first process's clock decides.

    Args:
        limit: time from the beginning of training.
        save: writes the resume point and returns its path; called by all processes.
        clock: seconds, from anywhere.
        flags: somebody else compares them after each backward pass.
    """

    def __init__(
        self,
        limit: timedelta,
        save: Callable[[pl.Trainer], Path],
        clock: Callable[[], float] = time.monotonic,
        flags: SharedFlags | None = None,
    ) -> None:
        self.limit, self.save, self.clock = limit, save, clock
        self._flags = flags or SharedFlags()
        self._flags.watch("time is over", self._over)
        self._end = float("inf")
        self._seen_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._end = self.clock() + self.limit.total_seconds()
        self._seen_step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any, **more: Any) -> None:
        """Stop when the time is over, after whole optimiser steps only."""
        if trainer.global_step != self._seen_step:
            self._seen_step = trainer.global_step
            self._stop(trainer, self._flags.largest("time is over"))

    def on_validation_batch_end(self, trainer: pl.Trainer, *arguments: Any, **more: Any) -> None:
        """Stop within validation, which the next start then runs whole; every process has equally many batches."""
        self._stop(trainer, *largest_of_all([self._over()]))

    def _over(self) -> int:
        """Whether the time is over by this process's clock; that of the first process decides."""
        return int(world()[0] == 0 and self.clock() >= self._end)

    def _stop(self, trainer: pl.Trainer, over: int) -> None:
        if over:
            path = self.save(trainer)
            raise CommandStopped(
                f"stopped after training.max_time={self.limit}. "
                f"Everything up to step {trainer.global_step} is in {path}; the same command goes on from there.",
                TRY_AGAIN,
                requeue=False,
            )


def parse_duration(value: Any, key: str) -> timedelta | None:
    """A time span of the config.

    Args:
        value: None, seconds as a number, or ``[DD-]HH:MM:SS`` as sbatch takes it.
        key: for the message.

    Raises:
        UserError: anything else, or nothing left of it.

    >>> parse_duration("1-02:30:00", "k"), parse_duration(90, "k"), parse_duration(None, "k")
    (datetime.timedelta(days=1, seconds=9000), datetime.timedelta(seconds=90), None)
    """
    if value is None:
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            span = timedelta(seconds=float(value))
        else:
            days, _, clock = str(value).rpartition("-")
            hours, minutes, seconds = (int(part) for part in clock.split(":"))
            span = timedelta(days=int(days or 0), hours=hours, minutes=minutes, seconds=seconds)
    except (ValueError, OverflowError):
        span = timedelta(0)
    if span <= timedelta(0):
        raise UserError(
            expected="a time span: seconds, HH:MM:SS or DD-HH:MM:SS",
            got=repr(value),
            where=key,
            fix=f"for example {key}=02:30:00, or null for no limit",
        )
    return span
