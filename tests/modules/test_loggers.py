"""Loggers continue where the run was stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from modules.loggers import build_logger
from utils.errors import UserError


def _config(folder: Path, kind: str) -> object:
    wandb = {"project_name": "p", "group_name": None}
    return OmegaConf.create({"output": {"dir": str(folder), "name": "n"}, "logging": {"logger": kind}, "wandb": wandb})


def test_wandb_keeps_its_id(tmp_path: Path) -> None:
    first, second = (build_logger(_config(tmp_path, "wandb")) for _ in range(2))
    assert isinstance(first, WandbLogger)
    assert first.version
    assert first.version == second.version == (tmp_path / "wandb_id.txt").read_text().strip()
    assert build_logger(_config(tmp_path / "other", "wandb")).version != first.version


def test_wandb_asks_for_no_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    logger = build_logger(_config(tmp_path, "wandb"))
    assert isinstance(logger, WandbLogger)
    assert logger._offline
    assert "wandb sync" in caplog.text


def test_tensorboard_keeps_its_folder(tmp_path: Path) -> None:
    for _ in range(2):
        logger = build_logger(_config(tmp_path, "tensorboard"))
        assert isinstance(logger, TensorBoardLogger)
        logger.log_metrics({"a": 1.0}, step=0)
        logger.finalize("success")
        assert [path.name for path in (tmp_path / "logs").iterdir()] == ["version_0"]


def test_unknown(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="csv, wandb or tensorboard"):
        build_logger(_config(tmp_path, "notebook"))
