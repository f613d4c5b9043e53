"""Stopping between two batches: who may ask for it, how all processes agree, and what the command then says."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback

from utils.errors import UserError

TRY_AGAIN = 75
"""Exit status of a run that stopped before its end and goes on with the same command (EX_TEMPFAIL of sysexits.h)."""

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


@dataclass(frozen=True)
class Stop:
    """Why a run stops before its end.

    Attributes:
        reason: in words, for the log.
        exit_status: of the command.
    """

    reason: str
    exit_status: int


class TrainingStopped(Exception):  # noqa: N818 - not an error: the run is saved and goes on with the same command
    """Raised out of ``Trainer.fit`` on every process at once, after the resume point was written.

    Args:
        stop: why.
        step: optimiser steps that the resume point holds.
    """

    def __init__(self, stop: Stop, step: int) -> None:
        self.stop, self.step = stop, step
        super().__init__(f"{stop.reason} after step {step}")


class StopSource(Callback):
    """A callback that can ask for a stop.

    It is asked after every training batch and every validation batch, on every process; the processes then agree on
    the highest code, so it is enough that one of them asks. The run is saved before it stops (in validation it was
    saved before validation began).
    """

    def wanted(self) -> int:
        """Positive code to ask for a stop, 0 to go on; must be quick and local (no communication)."""
        return 0

    def describe(self, code: int) -> Stop:
        """What the code that the processes agreed on means; called on processes that did not ask, too."""
        raise NotImplementedError


class StopAfter(StopSource):
    """Asks for a stop when the command has trained for a time, counted from each start anew.

    Args:
        limit: time from the beginning of training.
    """

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit
        self._end = float("inf")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._end = time.monotonic() + self.limit.total_seconds()

    def wanted(self) -> int:
        """1 when the time is over."""
        return int(time.monotonic() >= self._end)

    def describe(self, code: int) -> Stop:
        """Stopped by ``training.max_time``."""
        return Stop(f"training.max_time={self.limit} is over", TRY_AGAIN)


class StopAtInterrupt(StopSource):
    """Makes the first Ctrl-C (SIGINT) a request for a stop; the second one ends the program at once."""

    def __init__(self) -> None:
        self._asked = False
        self._previous: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over SIGINT; only the main thread may."""
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def _give_back(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give SIGINT back."""
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give SIGINT back."""
        self._give_back()

    def wanted(self) -> int:
        """1 after Ctrl-C."""
        return int(self._asked)

    def describe(self, code: int) -> Stop:
        """Stopped by Ctrl-C."""
        return Stop("stopped by Ctrl-C", INTERRUPTED)


def agreed_stop(sources: Sequence[StopSource], world_size: int) -> Stop | None:
    """Ask all sources of all processes; the same answer everywhere.

    Args:
        sources: in the same order on every process.
        world_size: number of processes; with several this is a collective call.
    """
    codes = [source.wanted() for source in sources]
    if world_size > 1 and codes:
        tensor = torch.tensor(codes, dtype=torch.int64)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX, group=host_group())
        codes = tensor.tolist()
    for source, code in zip(sources, codes, strict=True):
        if code > 0:
            return source.describe(code)
    return None


_group: Any = None


def host_group() -> Any:
    """Process group for small host tensors: the default one if it is gloo, otherwise a second one beside NCCL."""
    global _group
    if dist.get_backend() == "gloo":
        return None
    if _group is None or not _is_alive(_group):
        _group = dist.new_group(backend="gloo")
    return _group


def _is_alive(group: Any) -> bool:
    return group in dist.distributed_c10d._world.pg_map


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
            days, _, clock = ("0-" + str(value)).rpartition("-")
            hours, minutes, seconds = (float(part) for part in clock.split(":"))
            span = timedelta(days=float(days.removeprefix("0-") or 0), hours=hours, minutes=minutes, seconds=seconds)
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
