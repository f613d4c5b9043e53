"""Loggers continue where the run was stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from modules.logs.loggers import LoggerSettings, build_logger
from utils.errors import UserError


def _settings(folder: Path, kind: str) -> LoggerSettings:
    return LoggerSettings(kind, folder, run_name="n", project="p", group=None)


def test_wandb_keeps_its_id(tmp_path: Path) -> None:
    first, second = (build_logger(_settings(tmp_path, "wandb")) for _ in range(2))
    assert isinstance(first, WandbLogger)
    assert first.version
    assert first.version == second.version == (tmp_path / "wandb_id.txt").read_text().strip()
    assert build_logger(_settings(tmp_path / "other", "wandb")).version != first.version


def test_wandb_asks_for_no_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    logger = build_logger(_settings(tmp_path, "wandb"))
    assert isinstance(logger, WandbLogger)
    assert logger._offline
    assert "wandb sync" in caplog.text


def test_tensorboard_keeps_its_folder(tmp_path: Path) -> None:
    for _ in range(2):
        logger = build_logger(_settings(tmp_path, "tensorboard"))
        assert isinstance(logger, TensorBoardLogger)
        logger.log_metrics({"a": 1.0}, step=0)
        logger.finalize("success")
        assert [path.name for path in (tmp_path / "logs").iterdir()] == ["version_0"]


def test_unknown(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="csv, wandb or tensorboard"):
        build_logger(_settings(tmp_path, "notebook"))


def test_offline_figures_and_pictures_of_two_starts_are_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No login is asked for, no connection is opened to the outside, and both starts have the run's id."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("wandb.login", _refuse)
    monkeypatch.setattr("socket.create_connection", _refuse)
    monkeypatch.setattr("getpass.getpass", _refuse)
    for step in (0, 1):
        logger = build_logger(_settings(tmp_path, "wandb"))
        assert isinstance(logger, WandbLogger)
        logger.log_metrics({"train/loss": 1.0}, step=step)
        logger.log_image("detections/val", [np.zeros((4, 4, 3), dtype=np.uint8)], step=step)
        assert logger.experiment.id == (tmp_path / "wandb_id.txt").read_text().strip()
        logger.experiment.finish()
    runs = sorted(path.name for path in (tmp_path / "wandb").glob("offline-run-*"))
    assert runs
    assert all(f"-{logger.experiment.id}" in name for name in runs), "two within a second are told apart by a number"
    assert list((tmp_path / "wandb").rglob("*.png"))


def _refuse(*arguments: object, **more: object) -> None:
    raise AssertionError("nobody is to be asked or called")
