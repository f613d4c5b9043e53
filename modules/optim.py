"""Optimiser and schedule of RVT: AdamW, one cycle with linear annealing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import OneCycleLR

FULL_PRECISION = ("32", "32-true")
"""``training.precision`` without autocast."""


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]], training: Mapping[str, Any]
) -> torch.optim.AdamW:
    """AdamW over parameters, or over groups that have settings of their own.

    Args:
        parameters: of the detector, on the device where they are trained; or its ``parameter_groups``.
        training: the ``training`` section of the config.
    """
    groups = list(parameters)
    weights = [weight for group in groups for weight in (group["params"] if isinstance(group, dict) else (group,))]
    on_cpu = all(weight.device.type == "cpu" for weight in weights)
    # In mixed precision Lightning does not clip with a fused step on a GPU, which unscales gradients by itself. There
    # torch chooses: all weights together in a few kernels. False would be one weight after the other.
    fused = True if on_cpu or str(training.get("precision")) in FULL_PRECISION else None
    return torch.optim.AdamW(
        groups,  # pyright: ignore[reportArgumentType] # all of one kind
        lr=float(training["learning_rate"]),
        weight_decay=float(training["weight_decay"]),
        fused=fused,
    )


def build_scheduler(optimizer: torch.optim.Optimizer, training: Mapping[str, Any]) -> OneCycleLR:
    """One cycle per step: from lr/div_factor up to lr, then linearly down to lr/final_div_factor.

    Args:
        optimizer: whose learning rate is set.
        training: the ``training`` section of the config.
    """
    schedule = training["lr_scheduler"]
    return OneCycleLR(
        optimizer,
        max_lr=float(training["learning_rate"]),
        total_steps=max(int(schedule["total_steps"]), 2),
        pct_start=float(schedule["pct_start"]),
        anneal_strategy="linear",
        cycle_momentum=False,
        div_factor=float(schedule["div_factor"]),
        # torch divides the *starting* rate by final_div_factor; the config counts from the highest rate.
        final_div_factor=float(schedule["final_div_factor"]) / float(schedule["div_factor"]),
    )
