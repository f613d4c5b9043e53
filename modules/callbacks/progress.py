"""Callbacks of training: what watches over it and shows how it goes."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from modules.callbacks.speed import Speed

log = logging.getLogger(__name__)


class ProgressLines(Callback):
    """Logs a line now and then and at the last step: step, loss, speed and time left; for logs that no terminal shows.

    Args:
        every_s: least seconds between two lines.
    """

    def __init__(self, every_s: float = 10.0) -> None:
        self.every_s = every_s
        self._started = 0.0
        self._first_step = 0
        self._last_line = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember when and where the run began."""
        self._started = self._last_line = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log a line when enough time has passed, or the training ends."""
        now = time.monotonic()
        steps = trainer.global_step - self._first_step
        last = trainer.global_step == trainer.max_steps or trainer.should_stop
        due = last or now - self._last_line >= self.every_s
        if not due or steps == 0 or not trainer.is_global_zero:
            return
        self._last_line = now
        speed = steps / (now - self._started)
        left = max(0, trainer.max_steps - trainer.global_step) / speed
        loss = float(trainer.callback_metrics.get("train/loss", float("nan")))
        speeds = [str(watcher) for watcher in trainer.callbacks if isinstance(watcher, Speed)]  # type: ignore[attr-defined] # set by a connector
        log.info(
            "step %d/%d  loss %.3f  %.2f steps/s  %d:%02d left%s",
            trainer.global_step,
            trainer.max_steps,
            loss,
            speed,
            left // 60,
            left % 60,
            "".join(speeds),
        )
