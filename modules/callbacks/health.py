"""Health of a training now and then: how far gradients flow, and how large the recurrent states are."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.nn.utils import get_total_norm

from models.detection.interface import Detector
from utils.errors import UserError
from utils.settings import whole

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HealthSettings:
    """``logging.health`` of the config.

    Args:
        every_n_steps: optimiser steps between two looks; 0 never looks. A look waits for the device once.
        gradient_range: healthy largest gradients of a part, before clipping.
        state_range: healthy largest values of the cell states of a stage.

    Raises:
        UserError: a number out of range.
    """

    every_n_steps: int
    gradient_range: Sequence[float]
    state_range: Sequence[float]

    def __post_init__(self) -> None:
        whole(self.every_n_steps, "logging.health.every_n_steps", 0)
        for name in ("gradient_range", "state_range"):
            given = getattr(self, name)
            values = list(given) if isinstance(given, list | tuple) else [given]
            numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
            if len(values) != 2 or not numbers or not 0 <= values[0] < values[1]:
                raise UserError(
                    expected="two numbers, the lower one first",
                    got=str(values),
                    where=f"logging.health.{name}",
                    fix=f"for example logging.health.{name}=[1e-6,10]",
                )


def mean_and_max(groups: Mapping[str, Iterable[Tensor]]) -> dict[str, tuple[float, float]]:
    """Mean and largest absolute value of each group of tensors; one transfer from the device for all of them.

    Computed in float32 at least: a sum over a map of states is soon beyond float16.
    """
    names, figures = [], []
    for name, members in groups.items():
        tensors = [tensor.detach() for tensor in members if tensor.numel()]
        tensors = [tensor.float() if tensor.dtype.itemsize < 4 else tensor for tensor in tensors]
        if not tensors:
            continue
        sums, largest = (get_total_norm(tensors, norm_type=order).float() for order in (1.0, float("inf")))
        names.append(name)
        figures.append(torch.stack([sums / sum(tensor.numel() for tensor in tensors), largest]))
    if not names:
        return {}
    return {name: (mean, largest) for name, (mean, largest) in zip(names, torch.stack(figures).tolist(), strict=True)}


class Health(Callback):
    """Logs mean and largest absolute gradients of each part and recurrent states of each stage, and warns.

    ``health/grad_<part>_mean``, ``..._max`` are those of an optimiser step before clipping; ``health/h_<stage>_mean``,
    ``..._max`` and ``health/c_...`` those of the hidden and cell states after a batch. There is one warning for each
    part and kind.

    Args:
        settings: how often, and what is healthy.
    """

    def __init__(self, settings: HealthSettings) -> None:
        self.settings = settings
        self._warned: set[str] = set()
        self._seen_step = -1

    def _is_due(self, step: int) -> bool:
        every = self.settings.every_n_steps
        return every > 0 and step > 0 and step % every == 0

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradients, which are those of all processes by now."""
        if not self._is_due(trainer.global_step + 1) or not trainer.is_global_zero:
            return
        groups = {
            name: [parameter.grad for parameter in part.parameters() if parameter.grad is not None]
            for name, part in pl_module.mdl.parts.items()  # type: ignore[union-attr] # every task's network has parts
        }
        self._tell(trainer, "grad", mean_and_max(groups), self.settings.gradient_range)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the recurrent states that the batch left."""
        step = trainer.global_step
        if step == self._seen_step or not self._is_due(step) or not trainer.is_global_zero:
            return
        self._seen_step = step
        if not isinstance(pl_module.mdl, Detector):
            return  # nothing is remembered
        states = pl_module.train_states.get_states(int(batch["worker_id"]))  # type: ignore[union-attr, operator]
        hidden, cell = pl_module.mdl.watched_states(states)
        for kind, named, healthy in (("h", hidden, None), ("c", cell, self.settings.state_range)):
            self._tell(trainer, kind, mean_and_max({name: [state] for name, state in named.items()}), healthy)

    def _tell(
        self,
        trainer: pl.Trainer,
        kind: str,
        figures: Mapping[str, tuple[float, float]],
        healthy: Sequence[float] | None,
    ) -> None:
        names = [(f"health/{kind}_{part}_mean", f"health/{kind}_{part}_max") for part in figures]
        row = {
            name: value
            for pair, values in zip(names, figures.values(), strict=True)
            for name, value in zip(pair, values, strict=True)
        }
        for logger in trainer.loggers:
            if row:
                logger.log_metrics(row, step=trainer.global_step)
        for part, (_, largest) in figures.items():
            if healthy is None or healthy[0] <= largest <= healthy[1] or f"{kind} {part}" in self._warned:
                continue
            self._warned.add(f"{kind} {part}")
            step = trainer.global_step + (kind == "grad")  # gradients are those of the step under way
            log.warning("step %d: %s", step, _warning(kind, part, largest, healthy))


def _warning(kind: str, part: str, largest: float, healthy: Sequence[float]) -> str:
    what = "largest gradient" if kind == "grad" else "largest cell state"
    text = f"the {what} of {part} is {largest:.3g}, outside the healthy range of {healthy[0]:g} to {healthy[1]:g}: "
    if kind != "grad":
        return text + "lower training.learning_rate, or look at how gradients flow (health/grad_*)"
    if largest > healthy[1]:
        return text + "lower training.learning_rate or training.gradient_clip_val"
    return text + "this part learns nothing; with training.precision=16 gradients may vanish: try bf16 or 32"
