"""Optimiser and schedule: RVT's AdamW with one linear cycle, or what other networks are trained with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from utils.errors import UserError
from utils.settings import choice, number, settings_of, whole

FULL_PRECISION = ("32", "32-true")
"""``training.precision`` without autocast."""

_KINDS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": partial(torch.optim.SGD, momentum=0.9)}
_FACTORS = ("learning_rate", "weight_decay")

OTHERS = "all-others"
"""What logs call the weights that belong to no group; no part of a network has such a name."""

Weights = Iterable[torch.nn.Parameter] | Iterable[tuple[str, torch.nn.Parameter]]


@dataclass(frozen=True)
class OptimizerSettings:
    """``training.optimizer`` of the config, with the rates beside it.

    Args:
        learning_rate: the highest one.
        weight_decay: of the optimiser.
        kind: adamw, adam or sgd.
        groups: factors of the two rates for the weights whose names begin so.

    Raises:
        UserError: a value out of range, or an unknown word.
    """

    learning_rate: float
    weight_decay: float
    kind: str = "adamw"
    groups: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number(self.learning_rate, "training.learning_rate", 1e-12)
        number(self.weight_decay, "training.weight_decay")
        choice(self.kind, _KINDS, "training.optimizer.kind")
        if not isinstance(self.groups, Mapping) or not all(isinstance(name, str) for name in self.groups):
            raise UserError(
                expected="factors below the beginnings of weights' names",
                got=repr(self.groups),
                where="training.optimizer.groups",
                fix="for example +training.optimizer.groups={backbone:{learning_rate:0.1}}, or leave it out",
            )
        for name, factors in self.groups.items():
            key = f"training.optimizer.groups.{name}"
            for factor in factors if isinstance(factors, Mapping) else [str(factors)]:
                choice(factor, _FACTORS, key)
                number(factors[factor], f"{key}.{factor}")

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> OptimizerSettings:
        """From the ``training`` section; one that knows no kinds of optimiser means AdamW."""
        rates = {name: training[name] for name in _FACTORS}
        return settings_of(cls, {"optimizer": {}, **training}, "optimizer", **rates)


@dataclass(frozen=True)
class ScheduleSettings:
    """``training.lr_scheduler`` of the config, where each key is explained.

    Raises:
        UserError: a value out of range, or an unknown word.
    """

    use: bool
    total_steps: int
    pct_start: float
    div_factor: float
    final_div_factor: float
    kind: str = "onecycle"
    step_at: Sequence[float] = ()
    step_factor: float = 0.1

    def __post_init__(self) -> None:
        key = "training.lr_scheduler"
        choice(self.kind, ("onecycle", *_PACES), f"{key}.kind")
        whole(self.total_steps, f"{key}.total_steps")
        number(self.pct_start, f"{key}.pct_start", 0, 1)
        for name in ("div_factor", "final_div_factor", "step_factor"):
            number(getattr(self, name), f"{key}.{name}", 1e-12)
        if isinstance(self.step_at, str) or not isinstance(self.step_at, Sequence):
            raise UserError(
                expected="a list of shares of the steps",
                got=repr(self.step_at),
                where=f"{key}.step_at",
                fix=f"for example {key}.step_at=[0.5,0.8]",
            )
        for share in self.step_at:
            number(share, f"{key}.step_at", 0, 1)

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> ScheduleSettings:
        """From the ``training`` section; one that knows no kinds of schedule means one cycle."""
        return settings_of(cls, training, "lr_scheduler")

    def pace(self, step: int) -> float:
        """Learning rate after so many steps, as a share of the highest one."""
        warm_up = self.pct_start * self.total_steps
        if step < warm_up:
            return 1 / self.div_factor + (1 - 1 / self.div_factor) * step / warm_up
        return _PACES[self.kind](self, min((step - warm_up) / max(self.total_steps - warm_up, 1), 1.0))


def _cosine(settings: ScheduleSettings, done: float) -> float:
    end = 1 / settings.final_div_factor
    return end + (1 - end) * (1 + math.cos(math.pi * done)) / 2


def _step(settings: ScheduleSettings, done: float) -> float:
    return settings.step_factor ** sum(done >= share for share in settings.step_at)


_PACES = {"cosine": _cosine, "step": _step, "constant": lambda settings, done: 1.0}
"""Learning rate after a share of the steps that follow the warm-up, by the name of the schedule."""


def build_optimizer(parameters: Weights, training: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimiser of ``training.optimizer``.

    Args:
        parameters: of the detector, on the device where they are trained; with their names where groups are asked for.
        training: the ``training`` section of the config.

    Raises:
        UserError: a setting that cannot be.
    """
    settings = OptimizerSettings.of(training)
    named = [("", weight) if isinstance(weight, torch.nn.Parameter) else weight for weight in parameters]
    on_cpu = all(weight.device.type == "cpu" for _, weight in named)
    # In mixed precision Lightning does not clip with a fused step, which unscales gradients by itself. There torch
    # chooses: all weights together in a few kernels. False would be one weight after the other. On a CPU 16 becomes 32.
    precision = str(training.get("precision"))
    fused = True if precision in FULL_PRECISION or (on_cpu and not precision.startswith("bf16")) else None
    rate, decay = float(settings.learning_rate), float(settings.weight_decay)
    return _KINDS[settings.kind](_grouped(named, settings), lr=rate, weight_decay=decay, fused=fused)


def check_groups(names: Iterable[str], training: Mapping[str, Any]) -> None:
    """Check that each group of ``training.optimizer.groups`` has weights.

    Args:
        names: of all weights.
        training: the ``training`` section of the config.

    Raises:
        UserError: one has none.
    """
    names = list(names)
    for prefix in OptimizerSettings.of(training).groups:
        if not any(_belongs(name, prefix) for name in names):
            raise UserError(
                expected="how names of weights begin: " + ", ".join(sorted({name.split(".")[0] for name in names})),
                got=repr(prefix),
                where="training.optimizer.groups",
                fix="name a part of the network, or leave the group out",
            )


def _belongs(name: str, prefix: str) -> bool:
    """Whether a weight's name begins with these parts, as ``backbone.stages.1`` but not ``.10``; all with none."""
    return not prefix or f"{name}.".startswith(f"{prefix}.")


def _grouped(named: list[tuple[str, torch.nn.Parameter]], settings: OptimizerSettings) -> list[Any]:
    """All weights alike, or groups with rates and names of their own; the longest beginning that fits a name counts."""
    if not settings.groups:
        return [weight for _, weight in named]
    members: dict[str, list[torch.nn.Parameter]] = {"": [], **{prefix: [] for prefix in settings.groups}}
    for name, weight in named:
        members[max((prefix for prefix in members if _belongs(name, prefix)), key=len)].append(weight)
    rates = {"": {}, **settings.groups}
    return [
        {
            "name": prefix or OTHERS,
            "params": weights,
            "lr": settings.learning_rate * rates[prefix].get("learning_rate", 1.0),
            "weight_decay": settings.weight_decay * rates[prefix].get("weight_decay", 1.0),
        }
        for prefix, weights in members.items()
        if weights
    ]


class OneCycle(OneCycleLR):
    """torch's cycle, whose last rate stays when the steps go on; torch's own falls below zero, and then fails."""

    def get_lr(self) -> list[float | torch.Tensor]:
        """Rates of the step, or of the last step of the cycle."""
        step = self.last_epoch
        self.last_epoch = min(step, self.total_steps - 1)
        try:
            return super().get_lr()
        finally:
            self.last_epoch = step


def build_scheduler(optimizer: torch.optim.Optimizer, training: Mapping[str, Any]) -> LRScheduler:
    """The schedule of ``training.lr_scheduler``, one value per step.

    ``onecycle`` goes from lr/div_factor up to lr, then linearly down to lr/final_div_factor; the others begin with the
    same warm-up.

    Args:
        optimizer: of ``build_optimizer``, whose learning rates are the highest ones.
        training: the ``training`` section of the config.
    """
    settings = ScheduleSettings.of(training)
    if settings.kind != "onecycle":
        return LambdaLR(optimizer, lambda step: settings.pace(step))
    total = max(int(settings.total_steps), 2)
    # A warm-up of exactly one step would have no length, by which torch divides; so it is a breath longer.
    warm_up = float(settings.pct_start) * (1 + 1e-9 * (settings.pct_start * total == 1))
    return OneCycle(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total,
        pct_start=warm_up,
        anneal_strategy="linear",
        cycle_momentum=False,
        div_factor=float(settings.div_factor),
        # torch divides the *starting* rate by final_div_factor; the config counts from the highest rate.
        final_div_factor=float(settings.final_div_factor) / float(settings.div_factor),
    )
