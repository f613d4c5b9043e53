"""How a training or an evaluation goes: a live bar in a terminal, elsewhere a line now and then."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from modules.callbacks.speed import Speed
from utils.progress import LINE_EVERY_S, Bar, progress_words, time_words

log = logging.getLogger(__name__)

_LIVE_EVERY_S = 0.2
_TRAINING, _EVALUATION = "train", "evaluate"


class ProgressDisplay(Callback):
    """Says how far the whole run is: step, loss, speed, time left; batches of an evaluation in the same way.

    A training that ends has a line at its last step, however short it was.

    Args:
        live: a bar in the terminal; else a line now and then.
        every_s: least seconds between two lines.
    """

    def __init__(self, *, live: bool = False, every_s: float = LINE_EVERY_S) -> None:
        self.live = live
        self.every_s = _LIVE_EVERY_S if live else every_s
        self._started = self._last_said = self._evaluation_started = 0.0
        self._first_step = 0
        self._terminal = ExitStack()
        self._bar: Bar | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember when and where the run began."""
        self._started = self._last_said = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say something when enough time has passed, or the training ends."""
        steps = trainer.global_step - self._first_step
        last = trainer.global_step == trainer.max_steps or trainer.should_stop
        if steps == 0 or not self._is_due(trainer, last=last):
            return
        words = self._training_words(trainer, steps)
        if self.live:
            self._shown(trainer.global_step, words, _TRAINING, trainer.max_steps)
        if last or not self.live:
            log.info("%s", words)

    def _training_words(self, trainer: pl.Trainer, steps: int) -> str:
        speed = steps / max(time.monotonic() - self._started, 1e-9)
        left = time_words((trainer.max_steps - trainer.global_step) / speed)
        loss = float(trainer.callback_metrics.get("train/loss", float("nan")))
        speeds = [str(watcher) for watcher in trainer.callbacks if isinstance(watcher, Speed)]  # type: ignore[attr-defined] # set by a connector
        done = f"step {trainer.global_step}/{trainer.max_steps}"
        return f"{done}  loss {loss:.3f}  {speed:.2f} steps/s  {left} left{''.join(speeds)}"

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember when an evaluation began."""
        self._evaluation_started = self._last_said = time.monotonic()

    def on_validation_batch_end(  # noqa: D102 # as in training
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        counts = trainer.num_test_batches if trainer.testing else trainer.num_val_batches
        total = sum(counts)  # infinity where a stream does not know its length
        known = int(total) if total != float("inf") else None
        done = int(sum(counts[:dataloader_idx])) + batch_idx + 1
        if not self._is_due(trainer, last=self.live and done == known):  # the bar stays on the screen: it ends full
            return
        words = progress_words(done, known, "batches", time.monotonic() - self._evaluation_started)
        if self.live:
            self._shown(done, words, _EVALUATION, known)
        else:
            log.info("%s  %s", _EVALUATION, words)

    on_test_start = on_validation_start
    on_test_batch_end = on_validation_batch_end

    def _is_due(self, trainer: pl.Trainer, *, last: bool = False) -> bool:
        now = time.monotonic()
        if not trainer.is_global_zero or not (last or now - self._last_said >= self.every_s):
            return False
        self._last_said = now
        return True

    def _shown(self, done: int, words: str, title: str, total: int | None) -> None:
        if self._bar is None:
            self._bar = self._terminal.enter_context(Bar(title, total))
        self._bar.show(done, words, title=title, total=total)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the bar away."""
        self._terminal.close()
        self._bar = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Take the bar away before anything is said of the exception."""
        self.teardown(trainer, pl_module, "exception")
