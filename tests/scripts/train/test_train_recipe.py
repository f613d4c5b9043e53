"""Another optimiser, schedule and clipping: runs go on bit by bit, and refuse another one under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.commands import failure
from tests.helpers.made_once import MadeOnce
from tests.helpers.stopped_training import TINY, StopAt, Undisturbed, everything, train

RECIPE = (
    "training.optimizer.kind=sgd",
    "+training.optimizer.groups.backbone.learning_rate=0.1",
    "training.lr_scheduler.kind=cosine",
    "training.gradient_clip_algorithm=norm",
    "training.learning_rate=0.0001",
)


def test_it_goes_on_and_refuses_another(
    made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = made_once.dataset()
    start = (*TINY, *RECIPE, f"dataset.path={dataset}")
    assert train(tmp_path, *start, stop=StopAt("on_train_batch_end", 3)) == -9
    for other, key in (
        ("training.optimizer.kind=adam", "training.optimizer.kind=sgd"),
        ("training.lr_scheduler.kind=step", "training.lr_scheduler.kind=cosine"),
        ("training.optimizer.groups.backbone.learning_rate=0.2", "training.optimizer.groups="),
    ):
        message = failure(capsys, "train.py", *start, other, f"output.dir={tmp_path}", "hardware.num_processes=1")
        assert key in message, message
    assert train(tmp_path, *start) == 0
    assert everything(tmp_path) == Undisturbed(made_once, dataset)(1, *RECIPE)
