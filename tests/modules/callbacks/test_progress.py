"""What a training says while it runs: the last step always, and nothing that misleads."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from modules.callbacks.progress import ProgressLines
from utils.commands.logs import setup_logging


def test_the_last_step_has_its_line_however_short_the_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trainer: Any = SimpleNamespace(
        global_step=0, max_steps=6, should_stop=False, is_global_zero=True, callback_metrics={"train/loss": 2.5}
    )
    trainer.callbacks = []
    lines, module = ProgressLines(every_s=1e9), Any
    lines.on_train_start(trainer, module)  # type: ignore[arg-type] # it is not looked at
    for trainer.global_step in range(1, 7):
        lines.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    (line,) = caplog.messages
    assert line.startswith("step 6/6  loss 2.500  ")
    trainer.global_step, trainer.should_stop = 3, True  # out of time
    lines.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    assert caplog.messages[-1].startswith("step 3/6")


def test_lightning_does_not_advertise(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    setup_logging()
    setup_logging()
    lightning = logging.getLogger("pytorch_lightning")
    monkeypatch.setattr(lightning, "level", logging.INFO)  # as its import does
    emitter = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    emitter.manager._clear_cache()  # type: ignore[attr-defined] # levels are kept
    for text in ("💡 Tip: try litlogger", "TPU available: False", "`Trainer.fit` stopped: `max_steps=6` reached."):
        emitter.info(text)
    assert caplog.messages == ["`Trainer.fit` stopped: `max_steps=6` reached."]
    assert len(emitter.filters) == 1
