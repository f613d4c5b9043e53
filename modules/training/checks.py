"""Checks of the numbers in a training's config."""

from __future__ import annotations

import math

from omegaconf import DictConfig, OmegaConf

from modules.checkpoints.files import Retention
from modules.training.averaging import check_decay
from modules.training.batch_size import range_of
from modules.training.stopping import parse_duration
from modules.training.watchers import checked_settings, progress_display
from utils.errors import UserError

NUMBERS = (
    ("training.learning_rate", 1e-12, math.inf),
    ("training.weight_decay", 0, math.inf),
    ("training.gradient_clip_val", 0, math.inf),
    ("training.lr_scheduler.pct_start", 0, 1),
    ("training.lr_scheduler.div_factor", 1e-12, math.inf),
    ("training.lr_scheduler.final_div_factor", 1e-12, math.inf),
    ("logging.data_wait_warning", 0, math.inf),
)
"""Keys that are numbers, with the least and the largest."""


def check_training(cfg: DictConfig) -> None:
    """Check numbers that nothing else would catch before the first step.

    Raises:
        UserError: a count that is not positive, a rate that is no number, or another setting out of its range.
    """
    for key in ("training.max_steps", "batch_size.train", "batch_size.eval", "training.accumulate_grad_batches"):
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(expected="a whole number from 1", got=str(value), where=key, fix=f"set {key}=N")
    for key, least, most in NUMBERS:
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise UserError(
                expected=f"a number from {least:g}" + (f" to {most:g}" if most < math.inf else ""),
                got=repr(value),
                where=key,
                fix=f"set {key}=X",
            )
    parse_duration(cfg.training.max_time, "training.max_time")
    check_decay(cfg.training.ema_decay)
    Retention(**cfg.checkpointing)
    range_of(cfg)
    checked_settings(cfg)
    progress_display(cfg, in_terminal=False, training=True)
