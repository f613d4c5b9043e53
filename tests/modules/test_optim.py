"""Optimisers and schedules: groups of weights, warm-up and what follows it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from config.compose import compose
from modules.optim import OptimizerSettings, ScheduleSettings, build_optimizer, build_scheduler, check_groups
from utils.errors import UserError

CYCLE = {"use": True, "total_steps": 100, "pct_start": 0.1, "div_factor": 20, "final_div_factor": 100}
TRAINING = {"learning_rate": 0.01, "weight_decay": 0.1, "precision": 32, "lr_scheduler": CYCLE}
NETWORK = nn.ModuleDict(
    {"backbone": nn.ModuleDict({"stem": nn.Linear(2, 2), "deep": nn.Linear(2, 2)}), "head": nn.Linear(2, 1)}
)


def rates(schedule: dict[str, Any], optimizer: dict[str, Any] | None = None) -> list[list[float]]:
    """Learning rates of each group in 100 steps."""
    training = {**TRAINING, "optimizer": optimizer or {}, "lr_scheduler": {**CYCLE, **schedule}}
    made = build_optimizer(NETWORK.named_parameters(), training)
    scheduler, seen = build_scheduler(made, training), []
    for _ in range(100):
        seen.append(scheduler.get_last_lr())
        made.step()
        scheduler.step()
    return seen


def test_by_default_all_weights_are_alike() -> None:
    optimizer = build_optimizer(NETWORK.parameters(), TRAINING)
    assert type(optimizer) is torch.optim.AdamW
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (0.01, 0.1, 6)
    assert "param_names" not in group, "checkpoints stay as they were"


def test_groups_have_rates_of_their_own() -> None:
    groups = {"backbone": {"learning_rate": 0.1}, "backbone.stem": {"weight_decay": 0.0}}
    training = {**TRAINING, "optimizer": {"kind": "sgd", "groups": groups}}
    optimizer = build_optimizer(NETWORK.named_parameters(), training)
    assert isinstance(optimizer, torch.optim.SGD)
    told = [(len(group["params"]), group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert told == [(2, 0.01, 0.1), (2, 0.001, 0.1), (2, 0.01, 0.0)]
    assert [group["name"] for group in optimizer.param_groups] == ["all-others", "backbone", "backbone.stem"]


@pytest.mark.parametrize("kind", ["onecycle", "cosine", "step", "constant"])
def test_groups_keep_their_factor_in_every_schedule(kind: str) -> None:
    groups = {"groups": {"head": {"learning_rate": 0.5}}}
    for rest, head in rates({"kind": kind, "step_at": [0.5]}, groups):
        assert head == pytest.approx(0.5 * rest)


def test_warm_up_and_what_follows() -> None:
    paces = {
        kind: [rate for (rate,) in rates({"kind": kind, "step_at": [0.5]})] for kind in ("cosine", "step", "constant")
    }
    for pace in paces.values():
        assert pace[0] == pytest.approx(0.01 / 20)
        assert pace[5] == pytest.approx(0.01 * (1 + 1 / 20) / 2)
        assert pace[10] == pytest.approx(0.01)
    assert paces["constant"][99] == pytest.approx(0.01)
    assert [paces["step"][step] for step in (54, 55, 99)] == pytest.approx([0.01, 0.001, 0.001])
    assert paces["cosine"][55] == pytest.approx(0.01 * (1 + 1 / 100) / 2)
    assert ScheduleSettings(**{**CYCLE, "kind": "cosine"}).pace(100) == pytest.approx(1 / 100)


@pytest.mark.parametrize(
    ("optimizer", "key"),
    [
        ({"kind": "lion"}, "training.optimizer.kind"),
        ({"groups": {"head": {"rate": 1.0}}}, "training.optimizer.groups.head"),
        ({"groups": {"head": 0.1}}, "training.optimizer.groups.head"),
        ({"groups": {"head": {"learning_rate": "slow"}}}, "training.optimizer.groups.head.learning_rate"),
    ],
)
def test_mistakes_name_the_key(optimizer: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as told:
        build_optimizer(NETWORK.named_parameters(), {**TRAINING, "optimizer": optimizer})
    assert told.value.where == key


def test_a_group_without_weights() -> None:
    groups = {"backbone": {"learning_rate": 0.1}, "neck": {"learning_rate": 0.1}}
    with pytest.raises(UserError, match="begin: backbone, head"):
        check_groups(dict(NETWORK.named_parameters()), {**TRAINING, "optimizer": {"groups": groups}})


def test_what_is_shipped() -> None:
    training = compose(["+training.optimizer.groups.backbone.learning_rate=0.1"])["training"]
    assert OptimizerSettings.of(training).groups == {"backbone": {"learning_rate": 0.1}}
    assert ScheduleSettings.of(training).kind == "onecycle"


def test_after_the_cycle_the_last_rate_stays() -> None:
    seen = [rate for (rate,) in rates({"total_steps": 60})]
    assert min(seen) == seen[59] == pytest.approx(0.01 / 100)
    assert set(seen[59:]) == {seen[59]}


def test_a_warm_up_of_one_step() -> None:
    (first,), (second,), *_ = rates({"pct_start": 0.01})
    assert first == pytest.approx(0.01 / 20)
    assert 0.0098 < second <= 0.01


@pytest.mark.parametrize(
    ("section", "where"),
    [
        ({"optimizer": {"groups": None}}, "training.optimizer.groups"),
        ({"optimizer": {"groups": {1: {"learning_rate": 2}}}}, "training.optimizer.groups"),
        ({"lr_scheduler": {**CYCLE, "total_steps": 2.5}}, "training.lr_scheduler.total_steps"),
        ({"lr_scheduler": {**CYCLE, "kind": "step", "step_at": 0.5}}, "training.lr_scheduler.step_at"),
        ({"lr_scheduler": {**CYCLE, "div_factor": float("inf")}}, "training.lr_scheduler.div_factor"),
        ({"learning_rate": float("inf")}, "training.learning_rate"),
    ],
)
def test_values_of_the_wrong_kind(section: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError) as mistake:
        OptimizerSettings.of({**TRAINING, **section})
        ScheduleSettings.of({**TRAINING, **section})
    assert mistake.value.where == where


def test_a_group_is_a_whole_part_of_a_name() -> None:
    with pytest.raises(UserError, match="backbone, head"):
        check_groups(
            [name for name, _ in NETWORK.named_parameters()], {**TRAINING, "optimizer": {"groups": {"back": {}}}}
        )
