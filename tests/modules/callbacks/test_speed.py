"""Speed of training: what is measured, when it warns, where it goes."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from modules.callbacks.speed import FILE, FetchTimer, Speed
from modules.logs.csv_log import ContinuedCSVLogger

FETCH = "[ResumableEpochLoop].train_dataloader_next"
BATCH = {"ev_idx": torch.zeros(5, 4, dtype=torch.int64)}


class Training:
    """Steps of a training whose clock we turn."""

    def __init__(self, tmp_path: Path, warn_above: float = 0.3) -> None:
        self.now = 100.0
        self.timer = FetchTimer(lambda: self.now)
        self.speed = Speed(self.timer, every_n_steps=2, warn_above=warn_above, num_workers=3)
        self.trainer: Any = SimpleNamespace(
            global_step=0, world_size=2, is_global_zero=True, loggers=[ContinuedCSVLogger(tmp_path)]
        )
        self.module: Any = None
        self.speed.on_train_start(self.trainer, self.module)

    def step(self, wait: float, work: float) -> None:
        self.timer.start(FETCH)
        self.now += wait
        self.timer.stop(FETCH)
        self.timer.start("run_training_batch")
        self.now += work
        self.timer.stop("run_training_batch")
        self.trainer.global_step += 1
        self.speed.on_train_batch_end(self.trainer, self.module, None, BATCH, 0)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "logs" / "version_0" / FILE).open() as handle:
        return list(csv.DictReader(handle))


def test_frames_per_second_and_share_of_waiting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    training = Training(tmp_path)
    training.step(wait=60.0, work=1.0)  # loader processes start: does not count
    training.step(wait=1.0, work=7.0)
    assert rows(tmp_path) == [{"step": "2", "perf/frames_per_s": str(2 * 20 / 8), "perf/data_wait": "0.125"}]
    assert str(training.speed) == "  5 frames/s  12 % waiting for data"
    training.speed.on_validation_start(training.trainer, training.module)
    training.now += 1000.0
    training.speed.on_validation_end(training.trainer, training.module)
    for _ in range(2):
        training.step(wait=1.0, work=4.0)
    assert float(rows(tmp_path)[1]["perf/data_wait"]) == pytest.approx(0.2)
    assert not caplog.text


def test_starvation_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    training = Training(tmp_path)
    for _ in range(6):
        training.step(wait=3.0, work=1.0)
    assert caplog.text.count("waiting for data") == 1
    assert "spends 75 % of its time waiting for data: raise hardware.num_workers.train (now 3)" in caplog.text


def test_a_folder_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    training = Training(tmp_path / "run")
    (tmp_path / "run").write_text("a file in its place")
    for _ in range(2):
        training.step(wait=0.0, work=1.0)
    assert training.speed.frames_per_s == 40.0
