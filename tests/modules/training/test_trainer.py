"""What building a trainer says."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from config.resolvers import register_resolvers
from modules.training import trainer
from modules.training.settings import run_settings
from tests.helpers.commands import call
from utils.commands.cli import hydra_entry
from utils.settings import plain


@pytest.mark.parametrize(
    ("training", "arguments", "told"),
    [(False, (), False), (False, ("training.precision=16",), True), (True, (), True)],
)
def test_precision_is_told_where_somebody_asked_for_it(
    training: bool, arguments: tuple[str, ...], told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    register_resolvers()
    build = hydra_entry("train")(lambda cfg: trainer.build_trainer(run_settings(plain(cfg)), training=training))
    own = ("dataset=synthetic", "hardware.accelerator=cpu", f"output.dir={tmp_path}")
    assert call(build, "train.py", *own, *arguments) == 0
    assert ("needs a GPU" in caplog.text) == told
