"""The benchmark of the evaluation: both libraries through one path, with the same figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.benchmark.evaluation import by_pycocotools, evaluate, synthetic_frames
from tests.helpers.commands import failure, run
from utils.evaluation.coco import by_hotcoco

PROGRAM = "scripts/benchmark/evaluation.py"


def test_a_table_of_both_libraries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "table.md"
    assert run(PROGRAM, "--frames", "40", "--runs", "1", "--markdown", str(file)) == 0
    rows = re.findall(r"^\| (hotcoco|pycocotools) \|.*", file.read_text(), re.MULTILINE)
    assert rows == ["hotcoco", "pycocotools"]
    assert "40 synthetic frames" in capsys.readouterr().out


def test_the_libraries_agree_on_every_figure() -> None:
    labels, detections = synthetic_frames(150, seed=3)
    ours, theirs = (evaluate(backend, labels, detections) for backend in (by_hotcoco, by_pycocotools))
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert 0 < ours["AP"] < 1


def test_mistakes_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--frames" in failure(capsys, PROGRAM, "--frames", "0")
