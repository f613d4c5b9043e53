"""The DataLoader over a plan: errors of loader processes arrive as one clear message."""

from __future__ import annotations

import logging
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from data.batches.batch import Batch
from data.batches.planned_dataset import PlannedDataset
from data.sampling.specs import BatchSpec
from utils.commands.dead_workers import explain_dead_worker
from utils.commands.signals import shield_worker
from utils.errors import UserError

logger = logging.getLogger(__name__)


class _GuardedDataset(Dataset[Any]):
    """Hands a user's error over as a value: loader processes would turn the exception into another one."""

    def __init__(self, dataset: PlannedDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, spec: BatchSpec) -> Batch | UserError:
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
    """

    def __init__(
        self,
        dataset: PlannedDataset,
        sampler: Any,
        num_workers: int,
        pin_memory: bool,
        persistent_workers: bool,
        skipped: Counter[str] | None = None,
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
            generator=torch.Generator(),  # its own: a loader that begins in the middle must not touch the global one
        )
        self.skipped: Counter[str] = Counter() if skipped is None else skipped

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Batches of the plan.

        Raises:
            UserError: a file that cannot be used, or a loader process that died.
        """
        batches = super().__iter__()
        try:
            for batch in batches:
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
