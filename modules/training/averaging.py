"""Averaged weights: a running mean of the weights of all steps, validated and saved in place of the newest ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging

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

    Args:
        decay: d, in (0, 1).
    """

    def __init__(self, decay: float) -> None:
        super().__init__(decay=decay)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the average on the device that trains: the module itself is moved there only later."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
