"""Gradients and recurrent states: what is told of them, and when it warns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from models.detection.rnndet.detector import YoloXDetector
from models.rnn_states import RNNStates
from modules.callbacks.health import Health, HealthSettings, mean_and_max
from tests.models.conftest import tiny_config
from utils.errors import UserError

SETTINGS = HealthSettings(every_n_steps=2, gradient_range=[1e-6, 10.0], state_range=[1e-6, 10.0])


class Logger:
    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, row: dict[str, float], step: int) -> None:
        self.rows.append((step, row))


class Trainer:
    def __init__(self) -> None:
        self.logger = Logger()
        self.loggers = [self.logger]
        self.global_step = 0
        self.is_global_zero = True


class Tiny(nn.Module):
    def __init__(self, gradient: float) -> None:
        super().__init__()
        with torch.device("meta"):
            self.mdl = YoloXDetector(tiny_config())
        self.mdl.fpn, self.mdl.yolox_head = nn.Linear(2, 1), nn.Linear(2, 1, bias=False)  # type: ignore[assignment]
        self.train_states = RNNStates()
        for parameter in self.mdl.fpn.parameters():
            parameter.grad = torch.full_like(parameter, -gradient)
        for parameter in self.mdl.yolox_head.parameters():
            parameter.grad = torch.tensor([[1.0, -3.0]])


def gradients(health: Health, trainer: Any, gradient: float) -> None:
    health.on_before_optimizer_step(trainer, Tiny(gradient), None)  # type: ignore[arg-type]


def test_gradients_of_each_part() -> None:
    trainer, health = Trainer(), Health(SETTINGS)
    gradients(health, trainer, 0.5)
    assert not trainer.logger.rows, "step 1 is not looked at"
    trainer.global_step = 1
    gradients(health, trainer, 0.5)
    wanted = {
        "health/grad_fpn_mean": 0.5, "health/grad_fpn_max": 0.5, "health/grad_head_mean": 2.0,
        "health/grad_head_max": 3.0,
    }  # fmt: skip
    assert trainer.logger.rows == [(1, wanted)]


@pytest.mark.parametrize(("gradient", "advice"), [(1e3, "learning_rate"), (1e-9, "learns nothing")])
def test_unhealthy_gradients_are_told_once(gradient: float, advice: str, caplog: pytest.LogCaptureFixture) -> None:
    trainer, health = Trainer(), Health(SETTINGS)
    for step in (1, 3):
        trainer.global_step = step
        gradients(health, trainer, gradient)
    assert caplog.text.count("step 2: the largest gradient of fpn") == 1
    assert advice in caplog.text


def test_states_of_each_stage(caplog: pytest.LogCaptureFixture) -> None:
    trainer, health, module = Trainer(), Health(SETTINGS), Tiny(1.0)
    states = [(torch.full((2, 3), 0.5), torch.full((2, 3), -2.0)), (torch.zeros(2, 3), torch.full((2, 3), 11.0))]
    module.train_states.save_states_and_detach(7, states)
    trainer.global_step = 2
    for _ in range(2):  # batches that one optimiser step accumulates
        health.on_train_batch_end(trainer, module, None, {"worker_id": 7}, 0)  # type: ignore[arg-type]
    row = {name: value for _, part in trainer.logger.rows for name, value in part.items()}
    assert len(trainer.logger.rows) == 2
    assert row["health/h_stage1_mean"] == 0.5
    assert row["health/c_stage1_max"] == 2.0
    assert row["health/c_stage2_mean"] == 11.0
    assert "largest cell state of stage2 is 11, outside the healthy range of 1e-06 to 10" in caplog.text
    assert "stage1" not in caplog.text


def test_never() -> None:
    trainer, health = Trainer(), Health(HealthSettings(0, [0, 1], [0, 1]))
    trainer.global_step = 1
    gradients(health, trainer, 1e9)
    assert not trainer.logger.rows


def test_figures_are_those_of_all_values() -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), (0,))]
    mean, largest = mean_and_max({"a": tensors, "none": []})["a"]
    everything = torch.cat([tensor.flatten() for tensor in tensors]).abs()
    assert mean == pytest.approx(float(everything.mean()), rel=1e-6)
    assert largest == float(everything.max())
    assert math.isnan(mean_and_max({"a": [torch.tensor([1.0, math.nan])]})["a"][1])


def test_states_of_other_shapes_are_left_out() -> None:
    detector = Tiny(1.0).mdl
    assert detector.watched_states(None) == ({}, {})
    assert detector.watched_states([None, torch.zeros(2)]) == ({}, {})


def test_names_of_parts() -> None:
    assert list(Tiny(1.0).mdl.parts) == ["stage1", "stage2", "stage3", "stage4", "fpn", "head"]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ((-1, [0, 1], [0, 1]), "every_n_steps"),
        ((1, [2, 1], [0, 1]), "gradient_range"),
        ((1, [0, 1], ["low", 1]), "state_range"),
        ((1, [0], [0, 1]), "gradient_range"),
        ((1, [0, 1], 3), "state_range"),
    ],
)
def test_settings_out_of_range(values: tuple[Any, Any, Any], key: str) -> None:
    with pytest.raises(UserError, match=f"logging.health.{key}"):
        HealthSettings(*values)
