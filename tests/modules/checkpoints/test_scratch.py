"""Checkpoints on a scratch disk that changes with every job."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from modules.checkpoints.scratch import LINK, checkpoint_folder
from tests.helpers.commands import failure, run
from tests.helpers.made_once import MadeOnce
from tests.helpers.stopped_training import TINY, StopAt, Undisturbed, everything, train
from utils.errors import UserError


def test_none_keeps_checkpoints_in_the_run(tmp_path: Path) -> None:
    assert checkpoint_folder(tmp_path / "run", None) == tmp_path / "run"
    assert not list(tmp_path.iterdir())


def test_other_processes_find_the_same_checkpoints_at_any_moment(tmp_path: Path) -> None:
    run_dir, one, two = tmp_path / "run", tmp_path / "1", tmp_path / "2"
    assert checkpoint_folder(run_dir, one, first=False) == one  # nothing anywhere yet
    assert checkpoint_folder(run_dir, one) == one
    (one / "last.ckpt").write_text("newest")
    (one / "last-1.ckpt").write_text("before")
    assert checkpoint_folder(run_dir, two, first=False) == one  # not taken over yet
    assert checkpoint_folder(run_dir, two) == two
    assert checkpoint_folder(run_dir, two, first=False) == two
    assert (two / "last.ckpt").read_text() == "newest"
    assert (two / "last-1.ckpt").read_text() == "before"
    assert (two / "DELAYPURGE").is_file()
    assert (run_dir / LINK).resolve() == two
    assert (one / "last.ckpt").read_text() == "newest", "nothing is removed"


def test_a_purged_folder_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint_folder(tmp_path / "run", tmp_path / "1")
    shutil.rmtree(tmp_path / "1")
    assert checkpoint_folder(tmp_path / "run", tmp_path / "2") == tmp_path / "2"
    assert f"{tmp_path / '1'} is gone" in caplog.text


def test_mistakes(tmp_path: Path) -> None:
    checkpoint_folder(tmp_path / "run", tmp_path / "1")
    with pytest.raises(UserError, match="scratch folder of its own"):
        checkpoint_folder(tmp_path / "other", tmp_path / "1")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"output\.scratch"):
        checkpoint_folder(tmp_path / "run", tmp_path / "file" / "2")


def test_a_run_that_moves_from_job_to_job(
    made_once: MadeOnce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, settings = made_once.dataset(train=1), ("dataset.train.sampling=mixed",)
    start = (*TINY, *settings, f"dataset.path={dataset}")
    there = (*start, f"output.scratch={tmp_path}/scratch/${{oc.env:JOB}}")
    output = tmp_path / "run"
    monkeypatch.setenv("JOB", "1")
    assert train(output, *there, stop=StopAt("on_train_batch_start", 3, signal.SIGUSR1)) == 128 + signal.SIGUSR1
    assert not list(output.glob("*.ckpt"))
    assert (output / LINK / "last.ckpt").is_file()
    monkeypatch.setenv("JOB", "2")
    assert train(output, *there) == 0
    assert (output / LINK).resolve() == tmp_path / "scratch" / "2"
    assert everything(output) == Undisturbed(made_once, dataset)(1, *settings), (
        "the checkpoints of the finished run are in its folder"
    )
    monkeypatch.delenv("JOB")
    assert "JOB" in failure(capsys, "train.py", *there, "output.dir=elsewhere")
    assert run("train.py", *start, f"output.dir={output}") == 0
