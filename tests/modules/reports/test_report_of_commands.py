"""What commands leave: a training and an evaluation with all sections of their reports."""

from __future__ import annotations

import json
import re
import shutil
from datetime import datetime

import pytest
from PIL import Image

from tests.helpers.commands import SMALL, run
from tests.helpers.made_once import MadeOnce
from tests.modules.reports.test_reports import headings, stands_alone

QUICK = (
    "logging.report=true", "logging.health.every_n_steps=1", "training.max_steps=2",
    "validation.val_check_interval=2",
)  # fmt: skip


def test_training(tmp_path, made_once: MadeOnce):
    folder = tmp_path / "run"
    assert run("train.py", *SMALL, *QUICK, f"dataset.path={made_once.dataset()}", f"output.dir={folder}") == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert stands_alone(page)
    assert headings(page)[:6] == ["What was run", "Result", "Loss", "Learning rate", "Validation", "Throughput"]
    assert headings(page)[6:] == ["Health"]
    record = json.loads((folder / "run.json").read_text())
    assert record["command"] == "train"
    assert record["starts"][0]["seconds"] > 0
    assert datetime.fromisoformat(record["starts"][0]["began"]) < datetime.now().astimezone()
    assert record["starts"][0]["began"] in page
    with Image.open(folder / "results.png") as picture:
        assert picture.size[0] == 1680


def test_evaluation(tmp_path, made_once: MadeOnce, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    checkpoint, folder = tmp_path / "run" / "last.ckpt", tmp_path / "run" / "evaluation_val"
    checkpoint.parent.mkdir()
    shutil.copy(made_once.teacher(), checkpoint)
    monkeypatch.chdir(tmp_path)
    what = (f"dataset.path={made_once.dataset(val=5)}", f"checkpoint={checkpoint}", "evaluation.bootstrap=20")
    assert run("val.py", *SMALL, *what, "logging.report=true") == 0
    told = re.findall(r"by resampling 5 recordings \(20 times, 95 %\): AP .* \[.*product_AP", capsys.readouterr().out)
    assert len(told) == 1
    assert json.loads((folder / "evaluation.json").read_text())["intervals"]["recordings"] == 5
    assert not (tmp_path / "checkpoint").exists(), "the folder of a run that never was"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert stands_alone(page)
    assert told[0] in page
    expected = ["What was run", "Average precision", "Precision and recall", "Confusion", "Scores", "Sizes"]
    assert headings(page)[:6] == expected
    assert headings(page)[6:] == ["Objects that stop", "Best and worst frames"]
    assert page.count("data:image/jpeg") >= 1
    assert page.count(", best at 0.") == 3  # all and each class, in the legend, where they cannot lie on each other
    before = (folder / "results.png").read_bytes()
    assert run("scripts/reports/__main__.py", str(folder)) == 0
    assert capsys.readouterr().out.strip().endswith("report.html")
    assert (folder / "results.png").read_bytes() == before
    assert (folder / "report.html").read_text(encoding="utf-8") == page
    assert run("scripts/compare_runs.py", str(folder), str(folder)) == 0
    assert re.search(r"\| run/evaluation_val \(2\) − run/evaluation_val \| AP \| 0 ", capsys.readouterr().out)
