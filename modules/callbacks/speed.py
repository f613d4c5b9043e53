"""Speed of training: frames a second, and the share of time spent waiting for data."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.profilers import PassThroughProfiler

log = logging.getLogger(__name__)

FILE = "perf.csv"
"""Speeds beside ``metrics.csv``, which holds nothing that differs between two runs of the same command."""

_FETCH = "train_dataloader_next"


class FetchTimer(PassThroughProfiler):
    """Adds up the time that training waits for batches, from what Lightning tells its profilers.

    Args:
        clock: seconds, from anywhere.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self.clock = clock
        self.waited_s = 0.0
        self._began: float | None = None

    def start(self, action_name: str) -> None:
        """A part of the training loop begins."""
        if action_name.endswith(_FETCH):
            self._began = self.clock()

    def stop(self, action_name: str) -> None:
        """It ends."""
        if self._began is not None and action_name.endswith(_FETCH):
            self.waited_s += self.clock() - self._began
            self._began = None


class Speed(Callback):
    """Logs ``perf/frames_per_s`` and ``perf/data_wait``, and warns once when loading holds training up.

    Times are those of the first process; validation does not count. They go to ``perf.csv`` beside ``metrics.csv``, or
    to the other loggers as they are.

    Args:
        timer: the trainer's profiler.
        every_n_steps: optimiser steps between two rows.
        warn_above: share of time spent waiting from which on there is a warning.
        num_workers: loader processes, for the warning.
    """

    def __init__(self, timer: FetchTimer, every_n_steps: int, warn_above: float, num_workers: int) -> None:
        self.timer, self.every_n_steps, self.warn_above, self.num_workers = (
            timer,
            every_n_steps,
            warn_above,
            num_workers,
        )
        self.frames_per_s = 0.0
        self.data_wait = 0.0
        self._warned = False
        self._began: float | None = None
        self._waited_before = 0.0
        self._frames = 0
        self._paused: float | None = None
        self._seen_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget an earlier run."""
        self._began = self._paused = None
        self._seen_step = trainer.global_step

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._paused = self.timer.clock()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let it go on."""
        if self._paused is not None and self._began is not None:
            self._began += self.timer.clock() - self._paused
        self._paused = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch; log now and then."""
        if self._began is None:  # the first batch waits for the loader processes to start
            self._begin()
            return
        length, lanes = batch["ev_idx"].shape
        self._frames += length * lanes * trainer.world_size
        if trainer.global_step != self._seen_step:
            self._seen_step = trainer.global_step
            if trainer.global_step % self.every_n_steps == 0 and trainer.is_global_zero:
                self._report(trainer)

    def _begin(self) -> None:
        self._began, self._waited_before, self._frames = self.timer.clock(), self.timer.waited_s, 0

    def _report(self, trainer: pl.Trainer) -> None:
        assert self._began is not None, "the first batch began it"
        spent = max(self.timer.clock() - self._began, 1e-9)
        self.data_wait = min((self.timer.waited_s - self._waited_before) / spent, 1.0)
        self.frames_per_s = self._frames / spent
        figures = {"perf/frames_per_s": self.frames_per_s, "perf/data_wait": self.data_wait}
        for logger in trainer.loggers:
            if isinstance(logger, CSVLogger):
                _append(Path(logger.log_dir) / FILE, {"step": trainer.global_step, **figures})
            else:
                logger.log_metrics(figures, step=trainer.global_step)
        if self.data_wait > self.warn_above and not self._warned:
            self._warned = True
            log.warning(
                "training spends %.0f %% of its time waiting for data: raise hardware.num_workers.train (now %d) if "
                "there are idle cores, or bring the dataset to a faster disk",
                100 * self.data_wait,
                self.num_workers,
            )
        self._begin()

    def __str__(self) -> str:
        if not self.frames_per_s:
            return ""
        return f"  {self.frames_per_s:.0f} frames/s  {100 * self.data_wait:.0f} % waiting for data"


def _append(path: Path, row: dict[str, float]) -> None:
    """Add a row to a CSV file, which gets a header with its first one; a speed that cannot be written is dropped."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(row))
            if handle.tell() == 0:
                writer.writeheader()
            writer.writerow(row)
    except OSError as error:  # what matters is told when a checkpoint is saved
        log.debug("%s: %s", path, error)
