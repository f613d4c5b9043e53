"""Rates that a run takes up with other values than its checkpoint holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from modules.optim import build_optimizer, build_scheduler
from modules.training.rates import configure_rates

CYCLE = {"use": True, "total_steps": 10, "pct_start": 0.2, "div_factor": 20, "final_div_factor": 100}


def settings(rate: float, **schedule: Any) -> dict[str, Any]:
    return {"learning_rate": rate, "weight_decay": rate / 10, "precision": 32, "lr_scheduler": {**CYCLE, **schedule}}


def trained(training: dict[str, Any], steps: int, taken_up: dict[str, Any] | None = None, at: int = 0) -> list[float]:
    """Rates of so many steps; at one of them other settings are taken up, as from a checkpoint."""
    named = list(nn.Linear(2, 1).named_parameters())
    optimizer = build_optimizer(named, training)
    scheduler: Any = build_scheduler(optimizer, training)
    seen = []
    for step in range(steps):
        if taken_up is not None and step == at:
            scheduler = configure_rates(optimizer, named, taken_up, step)
            assert optimizer.param_groups[0]["weight_decay"] == taken_up["weight_decay"]
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return seen


@pytest.mark.parametrize("kind", ["onecycle", "cosine"])
@pytest.mark.parametrize("at", [0, 4, 12])
def test_the_schedule_goes_on_as_if_it_had_always_been_so(kind: str, at: int) -> None:
    before, now = settings(0.1, kind="onecycle"), settings(0.3, kind=kind, total_steps=12)
    rates = trained(before, 14, now, at)
    assert rates[:at] == trained(before, 14)[:at]
    assert rates[at:] == pytest.approx(trained(now, 14)[at:], rel=1e-12)
    assert min(rates) > 0


def test_without_a_schedule_the_configured_rate_holds() -> None:
    assert trained(settings(0.1), 6, settings(0.3, use=False), 3)[3:] == [0.3] * 3


def test_moments_stay() -> None:
    named = list(nn.Linear(2, 1).named_parameters())
    optimizer = build_optimizer(named, settings(0.1))
    for _, weight in named:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    before = [state["exp_avg"] for state in optimizer.state.values()]
    configure_rates(optimizer, named, settings(0.2), 1)
    assert [state["exp_avg"] for state in optimizer.state.values()] == before
