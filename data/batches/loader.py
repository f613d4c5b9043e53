"""The DataLoader over a plan: errors of loader processes arrive as one clear message."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from data.batches.batch import Batch
from utils.commands.dead_workers import explain_dead_worker, no_batch
from utils.commands.signals import CommandStopped, leave_if_asked, shield_worker
from utils.errors import UserError

logger = logging.getLogger(__name__)

_LOOK_UP_S = 5.0
"""Seconds between two looks at whether to go on waiting; torch looks at its processes as often."""


class _GuardedDataset(Dataset[Any]):
    """Hands a user's error over as a value: loader processes would turn the exception into another one."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __getitem__(self, spec: Any) -> Any:
        try:
            return self.dataset[spec]
        except UserError as error:
            return error


def _as_is(batch: Any) -> Any:
    return batch


class PlanLoader(DataLoader[Batch]):
    """DataLoader over a plan; a UserError of a loader process is raised as it is.

    Args:
        dataset: carries the plan out.
        sampler: hands out the plan's batches.
        num_workers: loader processes.
        pin_memory: pin batches for the device.
        persistent_workers: keep the processes between epochs.
        skipped: counts, by file, the chunks that could not be read and were left out.
        prefetch_factor: batches that each loader process reads ahead.
        timeout_s: seconds to wait for a batch of theirs.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        sampler: Any,
        num_workers: int,
        pin_memory: bool,
        persistent_workers: bool,
        skipped: Counter[str] | None = None,
        prefetch_factor: int = 2,
        timeout_s: float = 600.0,
    ) -> None:
        super().__init__(
            _GuardedDataset(dataset),
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=_as_is,
            pin_memory=pin_memory,
            persistent_workers=persistent_workers and num_workers > 0,
            worker_init_fn=shield_worker,
            prefetch_factor=prefetch_factor if num_workers else None,
            timeout=min(_LOOK_UP_S, timeout_s) if num_workers else 0,
            generator=torch.Generator(),  # its own: a loader that begins in the middle must not touch the global one
        )
        self.timeout_s = timeout_s
        self.skipped: Counter[str] = Counter() if skipped is None else skipped

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Batches of the plan.

        Raises:
            UserError: a file that cannot be used, a loader process that died, or a batch that does not come.
            CommandStopped: a stop signal waits for a batch that does not come.
        """
        batches = super().__iter__()
        try:
            for batch in self._in_time(batches):
                if isinstance(batch, UserError):
                    self._end(batches)
                    raise batch
                self._count(batch)
                yield batch
        except (RuntimeError, OSError, EOFError) as error:
            explained = explain_dead_worker(error, getattr(batches, "_workers", ()))
            if explained is None:
                raise
            self._end(batches)
            raise explained from error

    def _in_time(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches of torch's iterator, which looks up every few seconds while it waits for one."""
        while True:
            began = time.monotonic()
            while True:
                try:
                    batch = next(batches)
                    break
                except StopIteration:
                    return
                except RuntimeError as error:
                    if "DataLoader timed out" not in str(error):
                        raise
                waited = time.monotonic() - began
                try:
                    leave_if_asked("a batch")
                    if waited >= self.timeout_s:
                        raise no_batch(waited)
                except (CommandStopped, UserError):
                    self._end(batches)
                    raise
            yield batch

    def _end(self, batches: object) -> None:
        """End all loader processes now, while it takes milliseconds: left to the garbage collector it takes seconds.

        Without SIGCHLD meanwhile, through which torch would report a dead one again, wherever the program then is.
        """
        self._iterator = None
        end = getattr(batches, "_shutdown_workers", None)
        if end is None:
            return
        if threading.current_thread() is not threading.main_thread():
            end()
            return
        before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            end()
        finally:
            signal.signal(signal.SIGCHLD, before)

    def _count(self, batch: Batch) -> None:
        for path, start, stop in batch["unreadable"]:
            if path not in self.skipped:
                logger.warning("%s: frames %d to %d cannot be read and are left out", path, start, stop - 1)
            self.skipped[path] += 1
