"""A detector and its teacher: what checkpoints hold, and that a run which was stopped ends as one that never was."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import failure, run
from tests.helpers.made_once import MadeOnce
from tests.helpers.stopped_training import TINY, StopAt, everything, train

TAUGHT = (
    *TINY, "dataset.train.sampling=stream", "dataset.train.num_stream_groups=2", "dataset.train_ratio=0.34",
    "+semi=mean_teacher", "semi.start_step=2", "semi.warmup_steps=2", "semi.threshold=0.002", "semi.unsure=0.001",
    "semi.decay=0.75", "semi.hflip=true",
)  # fmt: skip
"""Streams, so that the teacher's states matter; from the third step on the teacher is sure of anything."""


@pytest.mark.soak
def test_two_processes_stopped_and_resumed(made_once: MadeOnce, tmp_path: Path, warm: None) -> None:
    start, whole, parts = (*TAUGHT, f"dataset.path={made_once.dataset()}"), tmp_path / "whole", tmp_path / "parts"
    assert train(whole, *start, world=2) == 0
    assert train(parts, *start, world=2, stop=StopAt("on_before_optimizer_step", 5)) == -signal.SIGKILL
    assert train(parts, *start, world=2) == 0
    assert everything(parts) == everything(whole)


def test_stopped_and_resumed(
    made_once: MadeOnce, tmp_path: Path, warm: None, capsys: pytest.CaptureFixture[str]
) -> None:
    start, whole, parts = (*TAUGHT, f"dataset.path={made_once.dataset()}"), tmp_path / "whole", tmp_path / "parts"
    assert run("train.py", *start, f"output.dir={whole}") == 0
    assert train(parts, *start, stop=StopAt("on_before_optimizer_step", 5)) == -signal.SIGKILL  # saved at 4
    assert train(parts, *start) == 0
    assert everything(parts) == everything(whole)
    last = torch.load(whole / "last.ckpt", weights_only=True)
    states = last["resume"]["ranks"][0]["module"]
    lanes = [{part.shape[0] for part in states[name]["1"][0]} for name in ("train_states", "teacher_states")]
    assert lanes == [{2}, {2}], "one lane without labels, for the teacher mirrored too"
    assert any(
        not torch.equal(weight, last["current_model_state"][name]) for name, weight in last["state_dict"].items()
    )
    with (whole / "logs" / "version_0" / "metrics.csv").open() as file:
        taught = {int(row["step"]) for row in csv.DictReader(file) if row["train/taught_boxes"]}
    assert taught == {2, 3, 4, 5}
    plain = [each for each in start if "semi" not in each]
    assert "semi is not given, was given" in failure(capsys, "train.py", *plain, f"output.dir={whole}")
