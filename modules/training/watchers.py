"""Which callbacks a training has."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback, RichProgressBar, TQDMProgressBar

from modules.callbacks.bad_loss import BadLoss, OnBadLoss, check_on_bad_loss
from modules.callbacks.health import Health, HealthSettings
from modules.callbacks.pictures import Pictures, PictureSettings
from modules.callbacks.progress import ProgressLines
from modules.callbacks.speed import FetchTimer, Speed
from modules.training.batch_size import StepDown
from utils.errors import UserError
from utils.settings import section


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
