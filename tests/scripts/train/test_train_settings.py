"""A run goes on with the settings it was begun with, or with those that were named; what messages advise works."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import SMALL, failure, run
from tests.helpers.made_once import MadeOnce


def rates(folder: Path) -> list[float]:
    with (folder / "logs" / "version_0" / "metrics.csv").open() as handle:
        return [float(row["lr-AdamW"]) for row in csv.DictReader(handle) if row["lr-AdamW"]]


def test_a_run_goes_on(made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = (
        *SMALL, f"dataset.path={made_once.dataset(train=1)}", f"output.dir={tmp_path}", "training.max_steps=2",
        "validation.limit_val_batches=1", "logging.log_every_n_steps=1",
    )  # fmt: skip
    assert run("train.py", *start) == 0
    # Done is this run, not another one of the same folder.
    assert run("train.py", *start, "hardware.num_workers.train=1") == 0
    assert "reproduce.seed_everything is 7, was 0" in failure(capsys, "train.py", *start, "reproduce.seed_everything=7")
    # More steps, as the message advises: at the last rate of the cycle.
    message = failure(capsys, "train.py", *start, "training.max_steps=3")
    (advice,) = re.findall(r"add (training\.lr_scheduler\.total_steps=\d+)", message)
    assert run("train.py", *start, "training.max_steps=3", advice) == 0
    assert rates(tmp_path)[2] == rates(tmp_path)[1] > 0
    # Without the cycle: at the configured rate.
    assert run("train.py", *start, "training.max_steps=4", "training.lr_scheduler.use=false") == 0
    assert rates(tmp_path)[3] == 0.002
    # Other values are refused, or hold if they are allowed.
    others = ("training.max_steps=5", "training.lr_scheduler.use=false", "training.weight_decay=0.3")
    message = failure(capsys, "train.py", *start, *others)
    (advice,) = re.findall(r"'(resume\.allow=\S+)'", message)
    assert run("train.py", *start, *others, advice) == 0
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["weight_decay"] == 0.3
    changes = json.loads((tmp_path / "config_changes.json").read_text())
    assert [entry["from_step"] for entry in changes] == [2, 3, 4]
    changed = changes[2]["changed"]
    assert (changed["training.max_steps"], changed["training.weight_decay"]) == ([4, 5], [0, 0.3])
    assert "weight_decay: 0.3" in (tmp_path / "config.yaml").read_text()


def test_passes_that_end_first_are_told_and_validated(
    made_once: MadeOnce, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start = (
        *SMALL, f"dataset.path={made_once.dataset(train=1)}", f"output.dir={tmp_path}", "training.max_steps=9999",
        "training.max_epochs=1", "validation.limit_val_batches=1", "dataset.train.sampling=stream",
    )  # fmt: skip
    assert run("train.py", *start) == 0
    done = json.loads((tmp_path / "done.json").read_text())
    assert done.keys() >= {"val/AP", "val/AP_50"}
    assert f"training.max_epochs=1 ended the run at step {done['steps']} of training.max_steps=9999" in caplog.text
    assert (tmp_path / "best.ckpt").is_file()
