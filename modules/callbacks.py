"""Callbacks of training: what watches over it and shows how it goes."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback, RichProgressBar, TQDMProgressBar

from modules.batch_size import StepDown
from modules.callbacks_loss import BadLoss, OnBadLoss, check_on_bad_loss
from modules.callbacks_pictures import Pictures, PictureSettings
from modules.callbacks_speed import FetchTimer, Speed
from modules.health import Health, HealthSettings
from utils.errors import UserError
from utils.settings import section

log = logging.getLogger(__name__)


def checked_settings(cfg: DictConfig) -> tuple[OnBadLoss, HealthSettings, PictureSettings]:
    """What the config says of bad losses, health and pictures.

    Raises:
        UserError: a setting out of range.
    """
    health, pictures = HealthSettings(**section(cfg, "logging.health")), section(cfg, "logging.pictures")
    return check_on_bad_loss(cfg.training.on_bad_loss), health, PictureSettings(**pictures)


def watchers(cfg: DictConfig, timer: FetchTimer) -> list[Callback]:
    """What watches over a training: losses, speed, health, pictures.

    Args:
        cfg: the composed config.
        timer: the trainer's profiler.

    Raises:
        UserError: a setting out of range.
    """
    on_bad_loss, health, pictures = checked_settings(cfg)
    workers, warn_above = int(cfg.hardware.num_workers.train), float(cfg.logging.data_wait_warning)
    return [
        BadLoss(on_bad_loss),
        Speed(timer, int(cfg.logging.log_every_n_steps), warn_above, workers),
        Health(health),
        Pictures(pictures, Path(cfg.output.dir), list(cfg.dataset.classes)),
        StepDown(cfg),
    ]


def progress_display(cfg: DictConfig, *, in_terminal: bool, training: bool) -> list[Callback]:
    """A progress bar in a terminal, lines elsewhere in training, or nothing.

    Raises:
        UserError: an unknown style of bar.
    """
    style = str(cfg.logging.progress_style)
    if style not in ("tqdm", "rich"):
        raise UserError(
            expected="tqdm or rich", got=f"'{style}'", where="logging.progress_style", fix="choose one of them"
        )
    if not cfg.logging.progress_bar:
        return []
    if not in_terminal:
        return [ProgressLines()] if training else []
    return [RichProgressBar(refresh_rate=10) if style == "rich" else TQDMProgressBar(refresh_rate=10)]


class ProgressLines(Callback):
    """Logs a line now and then: step, loss, speed and time left; for logs that no terminal shows.

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
        """Log a line when enough time has passed."""
        now = time.monotonic()
        steps = trainer.global_step - self._first_step
        if now - self._last_line < self.every_s or steps == 0 or not trainer.is_global_zero:
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
