"""Averaged weights: a running mean of the weights of all steps, validated and saved in place of the newest ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging

from modules.semi.module import SemiModule
from utils.errors import UserError

_MODEL_STATE = "current_model_state"  # where Lightning's callback keeps the weights that are trained


def check_decay(value: Any) -> float | None:
    """The decay of ``training.ema_decay``; None when it is off.

    Raises:
        UserError: not a number in (0, 1).
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise UserError(
            expected="a number above 0 and below 1, or null",
            got=str(value),
            where="training.ema_decay",
            fix="set training.ema_decay=0.999 (0.99 for runs of a few thousand steps), or null for none",
        )
    return float(value)


def check_averaging(state: Mapping[str, Any], decay: Any, where: str) -> None:
    """Refuse to go on without averaging from a checkpoint whose weights are an average.

    Args:
        state: the checkpoint.
        decay: ``training.ema_decay`` of this run.
        where: the checkpoint's path.

    Raises:
        UserError: the optimiser in it belongs to other weights than those that would be loaded.
    """
    if _MODEL_STATE in state and decay is None:
        raise UserError(
            expected="training.ema_decay as this run was started with: its weights are averaged",
            got="null",
            where=where,
            fix="give training.ema_decay again, or start a new run from these weights: output.dir=FOLDER weight=FILE",
        )


class AveragedWeights(EMAWeightAveraging):
    """Lightning's exponential moving average: after each optimiser step ``average = d · average + (1 - d) · weights``.

    The first step's weights begin the average. Validation sees the average; the ``state_dict`` of every checkpoint is
    the average too, so evaluation, labelling and export take it without knowing; what training goes on with lies
    beside it. It has to come after the callback that saves resume points, which wants the trained weights at the end.

    It is the teacher of a detector that learns from one (``semi``), and until ``starts_at`` a copy of its weights.

    Args:
        decay: d, in (0, 1).
        starts_at: optimiser steps after which the newest weights begin the average; 0 or 1: after the first.
    """

    def __init__(self, decay: float, starts_at: int = 0) -> None:
        super().__init__(decay=decay)
        self._starts_at = starts_at

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the average on the device that trains: the module itself is moved there only later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        if isinstance(pl_module, SemiModule) and self._average_model is not None:
            pl_module.learn_from(self._average_model.module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average; an average without weights, as at the start, takes the newest ones as they are."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if trainer.global_step < self._starts_at and self._average_model is not None:
            self._average_model.n_averaged.zero_()
