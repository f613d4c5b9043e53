"""train.py with frames that cannot be read: stop with one message, or go on without them; new augmentations on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.data.batches.test_unreadable import spoil
from tests.helpers.commands import SMALL, failure, run
from tests.helpers.tiny_dataset import write_tiny_dataset

AUGMENTED = tuple(
    f"dataset.augmentation.{kind}.{what}.prob=0.7"
    for kind in ("random", "stream")
    for what in ("crop", "intensity", "mix")
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tiny_dataset(tmp_path_factory.mktemp("tiny"))
    spoil(root, "train_00", 0, 24)
    return root


def command(root: Path, output: Path, *more: str) -> tuple[str, ...]:
    return (
        *SMALL,
        *AUGMENTED,
        f"dataset.path={root}",
        f"output.dir={output}",
        "hardware.accelerator=cpu",
        "training.max_steps=8",
        "validation.limit_val_batches=1",
        *more,
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_stops(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int) -> None:
    message = failure(capsys, "train.py", *command(root, tmp_path / "run", f"hardware.num_workers.train={workers}"))
    assert "sequence train_00, frames" in message
    assert "training.on_bad_sequence=skip" in message
    assert not (tmp_path / "run" / "done.json").exists()


def test_goes_on_without(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert run("train.py", *command(root, tmp_path / "run", "training.on_bad_sequence=skip")) == 0
    assert "cannot be read and are left out" in caplog.text
    assert "samples of 1 files that cannot be read" in caplog.text
    assert (tmp_path / "run" / "done.json").exists()
