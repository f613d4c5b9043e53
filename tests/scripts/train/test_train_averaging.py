"""Averaged weights: what is validated and saved is the running mean, and a run that was stopped ends the same."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import failure, run
from tests.helpers.made_once import MadeOnce
from tests.helpers.stopped_training import TINY, StopAt, everything, train

DECAY = 0.75
AVERAGED = (*TINY, "dataset.train.sampling=mixed", f"training.ema_decay={DECAY}", "training.max_steps=4")
AVERAGED += ("validation.val_check_interval=2", "checkpointing.keep_every_n_steps=1")
AVERAGED += ("validation.limit_val_batches=1.0",)  # all of them, as an evaluation takes


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=1)


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed")
    assert run("train.py", *AVERAGED, f"dataset.path={dataset}", f"output.dir={output}") == 0
    return output


def state_of(output: Path) -> dict[str, object]:
    """What a run leaves, and what it would go on from."""
    last = torch.load(output / "last.ckpt", weights_only=True)
    parts = {name: value.tolist() for name, value in last["current_model_state"].items()}
    return {**everything(output), "trained": parts, "averages": str(last["averaging_state"])}


def test_checkpoints_hold_the_running_mean(undisturbed: Path) -> None:
    average: dict[str, torch.Tensor] = {}
    for step in range(1, 5):
        saved = torch.load(undisturbed / f"step_{step:08d}.ckpt", weights_only=True)
        for name, value in saved["current_model_state"].items():
            if value.is_floating_point():
                average[name] = value if step == 1 else DECAY * average[name] + (1 - DECAY) * value
                torch.testing.assert_close(saved["state_dict"][name], average[name], rtol=1e-4, atol=1e-6)
    last = torch.load(undisturbed / "last.ckpt", weights_only=True)
    same = [torch.equal(value, last["current_model_state"][name]) for name, value in last["state_dict"].items()]
    assert not all(same), "the end of a run is averaged too"


def test_stopped_and_resumed(dataset: Path, undisturbed: Path, tmp_path: Path) -> None:
    start = (*AVERAGED, f"dataset.path={dataset}")
    places = [
        (StopAt("on_validation_batch_end", 1), -signal.SIGKILL),  # of step 2, with weights and average exchanged
        (StopAt("on_validation_batch_start", 1, signal.SIGTERM), 128 + signal.SIGTERM),
    ]
    for place, status in places:
        assert train(tmp_path, *start, stop=place) == status
    assert train(tmp_path, *start) == 0
    assert state_of(tmp_path) == state_of(undisturbed)


@pytest.mark.soak
def test_two_processes_stopped_and_more_steps_later(dataset: Path, tmp_path: Path) -> None:
    start = (*AVERAGED, f"dataset.path={dataset}", "training.lr_scheduler.total_steps=4")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(whole, *start, world=2) == 0
    assert train(parts, *start, "training.max_steps=3", world=2) == 0
    assert train(parts, *start, world=2) == 0
    assert state_of(parts) == state_of(whole)


def test_evaluation_takes_the_average(dataset: Path, undisturbed: Path, tmp_path: Path) -> None:
    figures = tmp_path / "val.json"
    evaluate = (*TINY, f"dataset.path={dataset}", f"checkpoint={undisturbed / 'last.ckpt'}", f"save_json={figures}")
    assert run("val.py", *evaluate) == 0
    found = json.loads(figures.read_text())["figures"]["AP"]
    assert found == pytest.approx(json.loads((undisturbed / "done.json").read_text())["val/AP"], abs=1e-6)


def test_mistakes(dataset: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = (*AVERAGED, f"dataset.path={dataset}", f"output.dir={undisturbed}")
    assert "training.ema_decay" in failure(capsys, "train.py", *start, "training.ema_decay=1")
    message = failure(capsys, "train.py", *start, "training.max_steps=5", "training.lr_scheduler.total_steps=4",
                      "training.ema_decay=null")  # fmt: skip
    assert "averaged" in message
