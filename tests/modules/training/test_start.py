"""What the start of a training says of runs that were there before."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from config.compose import compose
from modules.checkpoints.settings import write_config
from modules.training.settings import RunSettings, run_settings
from modules.training.start import _tell_shorter, was_done


def settings(folder: Path, *overrides: str) -> RunSettings:
    chosen = ("dataset=synthetic", "+experiment/synthetic=demo", "training.max_steps=6")
    return run_settings(compose([*chosen, f"output.dir={folder}", *overrides]))


def made(folder: Path, **done: Any) -> Path:
    """The folder of a run of six steps."""
    write_config(folder, settings(folder).config, {}, 0)
    (folder / "done.json").write_text(json.dumps({"steps": 6, "max_steps": 6, "max_epochs": 9, **done}))
    return folder


def test_a_run_that_is_over_tells_its_figures_and_what_it_leaves_unused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = made(tmp_path / "run", **{"val/AP": 0.25})
    assert was_done(settings(folder, "hardware.threads=1"))
    assert f"nothing to do: {folder / 'last.ckpt'}  quick AP 25.00 %" in caplog.text
    assert "not used" not in caplog.text
    assert was_done(settings(folder, "training.learning_rate=0.5", "resume.allow=[training]"))
    assert "the changed training.learning_rate; more training.max_steps go on" in caplog.text


def test_a_new_run_names_the_shorter_one_beside_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made(tmp_path / "mine")
    _tell_shorter(settings(tmp_path / "mine_iter8", "training.max_steps=8"))  # it has no checkpoint yet
    other = made(tmp_path / "run_iter6_seed0")
    (other / "last.ckpt").touch()
    new = tmp_path / "run_iter8_seed0"
    _tell_shorter(settings(new, "training.max_steps=4"))
    _tell_shorter(settings(new, "training.max_steps=8", "training.learning_rate=0.5"))
    _tell_shorter(settings(tmp_path / "run_iter8_seed1", "training.max_steps=8"))
    assert not caplog.records
    _tell_shorter(settings(new, "training.max_steps=8"))
    assert f"max_steps=6 goes on with output.dir={other} training.lr_scheduler.total_steps=6" in caplog.text
