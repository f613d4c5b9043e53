"""What a user sees when a run's folder, disk or checkpoints fail, and that nothing is lost."""

from __future__ import annotations

import errno
import json
import resource
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

import modules.training.trainer
from tests.helpers.commands import failure, run
from tests.helpers.forked_processes import together
from tests.helpers.stopped_training import TINY
from tests.helpers.tiny_dataset import write_tiny_dataset
from utils.commands.run_lock import RunLock
from utils.errors import UserError


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    dataset = write_tiny_dataset(tmp_path_factory.mktemp("data"), train=1, val=1, test=0)
    quick = ("validation.limit_val_batches=1", "checkpointing.every_n_steps=1", "dataset.train.sampling=stream")
    return (*TINY, *quick, f"dataset.path={dataset}")


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any, **more: Any) -> None:
        if trainer.global_step == self.step:
            self.action()


def after(monkeypatch: pytest.MonkeyPatch, step: int, action: Any) -> None:
    build = modules.training.trainer.build_trainer

    def with_action(*positional: Any, **named: Any) -> pl.Trainer:
        trainer = build(*positional, **named)
        trainer.callbacks.append(At(step, action))  # type: ignore[attr-defined]
        return trainer

    monkeypatch.setattr(modules.training.trainer, "build_trainer", with_action)


def steps(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, weights_only=True)["global_step"])


def test_retention_and_a_damaged_newest(
    start: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    command = (*start, f"output.dir={tmp_path}", "checkpointing.keep_last=3", "checkpointing.keep_every_n_steps=2")
    assert run("train.py", *command, "training.lr_scheduler.total_steps=5", "training.max_steps=4") == 0
    kept = {path.name: steps(path) for path in tmp_path.glob("*.ckpt")}
    # Step 3 is saved before and after its validation.
    assert kept == {
        "last.ckpt": 4, "last-1.ckpt": 3, "last-2.ckpt": 3, "best.ckpt": 3, "step_00000002.ckpt": 2,
        "step_00000004.ckpt": 4,
    }  # fmt: skip
    (tmp_path / "last.ckpt").unlink()  # of the two names of this file only one is damaged
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "last-1.ckpt").read_bytes()[:20_000])
    assert run("train.py", *command, "training.lr_scheduler.total_steps=5", "training.max_steps=5") == 0
    assert "last.ckpt cannot be read" in caplog.text
    assert "going on from" in caplog.text
    assert "last-1.ckpt at step 3" in caplog.text
    assert (tmp_path / "last.ckpt.damaged-1").stat().st_size == 20_000
    assert steps(tmp_path / "last.ckpt") == 5


def test_a_finished_run_does_not_start_again(start: tuple[str, ...], tmp_path: Path) -> None:
    command = (*start, f"output.dir={tmp_path}", "training.max_steps=1")
    (tmp_path / "done.json").write_text(json.dumps({"steps": 1, "max_steps": 1}))
    assert run("train.py", *command) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["done.json"]


def test_a_second_run_in_the_folder_is_refused(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunLock(tmp_path):
        message = failure(capsys, "train.py", *start, f"output.dir={tmp_path}")
        assert [path.name for path in tmp_path.iterdir()] == [".run.lock"]
    assert "no other run is using" in message
    assert "output.dir=FOLDER" in message


def train_on_a_disk_that_fills_up(arguments: tuple[str, ...]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        after(patch, 2, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
        return run("train.py", *arguments)


def test_a_full_disk(start: tuple[str, ...], tmp_path: Path) -> None:
    # In a process of its own: the limit on the size of files holds for what the tests themselves print, too.
    statuses = together(1, tmp_path, train_on_a_disk_that_fills_up, (*start, f"output.dir={tmp_path}"))
    assert statuses == [UserError.exit_status]
    message = (tmp_path / "rank0.txt").read_text()
    assert "to write the checkpoint of step 2" in message
    assert "the checkpoints before are intact" in message
    assert steps(tmp_path / "last.ckpt") == 1
    assert not list(tmp_path.glob(".last*"))


def test_a_folder_that_became_read_only(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save

    def read_only(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    after(monkeypatch, 2, lambda: monkeypatch.setattr(torch, "save", read_only))
    assert "Read-only file system" in failure(capsys, "train.py", *start, f"output.dir={tmp_path}")
    monkeypatch.setattr(torch, "save", save)
    assert steps(tmp_path / "last.ckpt") == 1


@pytest.mark.parametrize("mount_point_stays", [False, True])
def test_a_mount_that_vanished(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    mount_point_stays: bool,
) -> None:  # fmt: skip
    folder, away = tmp_path / "run", tmp_path / "away"

    def vanish() -> None:
        folder.rename(away)
        if mount_point_stays:
            folder.mkdir()

    after(monkeypatch, 2, vanish)
    message = failure(capsys, "train.py", *start, f"output.dir={folder}")
    assert "bring the disk or mount back" in message
    assert not list(folder.glob("*.ckpt")), "nothing is written under a mount point"
    assert steps(away / "last.ckpt") == 1


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("training.max_time=soon", "HH:MM:SS"),
        ("training.max_time=0", "training.max_time"),
        ("checkpointing.keep_last=0", "checkpointing.keep_last"),
        ("checkpointing.monitor=AQ", "AP_75"),
    ],
)
def test_settings_out_of_range(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, part: str
) -> None:
    assert part in failure(capsys, "train.py", *start, f"output.dir={tmp_path / 'run'}", override)
    assert not (tmp_path / "run").exists()
