"""Learning rate, weight decay and schedule that a run may take up with other values than it has used so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.optim.lr_scheduler import LRScheduler

from modules.checkpoints.settings import changed_settings
from modules.optim import ScheduleSettings, build_optimizer, build_scheduler

_OF_SCHEDULES = ("initial_lr", "max_lr", "min_lr")


class ConfiguredRates(Callback):
    """Lets the configured rates hold when a run goes on with others than its checkpoint was made with.

    A checkpoint brings its own back, of the optimiser and of the schedule; where nothing has changed, they stay.

    Args:
        training: section ``training`` of the config.
    """

    def __init__(self, training: Mapping[str, Any]) -> None:
        self.training = training
        self._differ = False

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Compare the settings."""
        before = checkpoint.get("hyper_parameters", {}).get("config", {}).get("training")
        self._differ = before is not None and _differ(before, self.training)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the configured ones in, once the checkpoint's are there."""
        if not self._differ:
            return
        (optimizer,) = trainer.optimizers
        named = pl_module.mdl.named_parameters()  # type: ignore[operator,union-attr] # the network
        scheduler = configure_rates(optimizer, named, self.training, trainer.global_step)
        if scheduler is not None:
            trainer.lr_scheduler_configs[0].scheduler = scheduler


def configure_rates(
    optimizer: torch.optim.Optimizer,
    named: Iterable[tuple[str, torch.nn.Parameter]],
    training: Mapping[str, Any],
    step: int,
) -> LRScheduler | None:
    """Give an optimiser the configured rates, its moments left as they are.

    Args:
        optimizer: of a run under way.
        named: its weights with their names.
        training: section ``training`` of the config.
        step: optimiser steps done.

    Returns:
        the schedule after so many steps, None without one.
    """
    fresh = build_optimizer(named, training)
    for group, wanted in zip(optimizer.param_groups, fresh.param_groups, strict=True):
        for name in _OF_SCHEDULES:
            group.pop(name, None)
        group["lr"], group["weight_decay"] = wanted["lr"], wanted["weight_decay"]
    if not ScheduleSettings.of(training).use:
        return None
    scheduler = build_scheduler(optimizer, training)
    if step:
        scheduler.last_epoch = step - 1
        scheduler._step_count = step  # or torch warns that the optimiser has made no step yet
        scheduler.step()
    return scheduler


def _differ(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether rates or an active schedule are not what they were."""
    ours = ("learning_rate", "weight_decay", "lr_scheduler" if now["lr_scheduler"]["use"] else "lr_scheduler.use")
    return any(key.startswith(ours) for key in changed_settings(before, now))
