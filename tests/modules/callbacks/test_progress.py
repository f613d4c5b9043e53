"""What a training says while it runs: the last step always, and nothing that misleads."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from modules.callbacks.progress import ProgressDisplay
from utils.commands.logs import setup_logging


def test_the_last_step_has_its_line_however_short_the_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trainer: Any = SimpleNamespace(
        global_step=0, max_steps=6, should_stop=False, is_global_zero=True, callback_metrics={"train/loss": 2.5}
    )
    trainer.callbacks = []
    lines, module = ProgressDisplay(every_s=1e9), Any
    lines.on_train_start(trainer, module)  # type: ignore[arg-type] # it is not looked at
    for trainer.global_step in range(1, 7):
        lines.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    (line,) = caplog.messages
    assert line.startswith("step 6/6  loss 2.500  ")
    trainer.global_step, trainer.should_stop = 3, True  # out of time
    lines.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    assert caplog.messages[-1].startswith("step 3/6")


def test_batches_of_an_evaluation_are_counted_over_its_streams(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trainer: Any = SimpleNamespace(is_global_zero=True, testing=False, num_val_batches=[4, 6])
    lines, module = ProgressDisplay(every_s=0), Any
    lines.on_validation_start(trainer, module)  # type: ignore[arg-type]
    lines.on_validation_batch_end(trainer, module, None, None, 1, 1)  # type: ignore[arg-type]
    trainer.num_val_batches = [float("inf")]
    lines.on_validation_batch_end(trainer, module, None, None, 2)  # type: ignore[arg-type]
    assert [line.split("  ")[:2] for line in caplog.messages] == [
        ["evaluate", "6/10 batches"],
        ["evaluate", "3 batches"],
    ]


def test_a_terminal_has_one_bar_and_the_last_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    trainer: Any = SimpleNamespace(
        global_step=0, max_steps=2, should_stop=False, is_global_zero=True, callback_metrics={}, testing=False,
        num_val_batches=[3], callbacks=[],
    )  # fmt: skip
    display, module = ProgressDisplay(live=True), Any
    display.every_s = 0
    display.on_train_start(trainer, module)  # type: ignore[arg-type]
    for trainer.global_step in (1, 2):
        display.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    display.on_validation_start(trainer, module)  # type: ignore[arg-type]
    display.every_s = 1e9
    display.on_validation_batch_end(trainer, module, None, None, 2)  # type: ignore[arg-type]
    display.teardown(trainer, module, "fit")  # type: ignore[arg-type]
    assert "3/3 batches" in capsys.readouterr().err, "the bar ends full"
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("step 2/2")


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
