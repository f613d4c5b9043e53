"""Reports of made-up logs weigh little, however long the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.commands import failure, run


def test_a_row_for_each_report(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    options = ("--steps", "2000", "--every", "10", "--detections", "2000", "--markdown", str(page), "--browser", "true")
    assert run("scripts/benchmark/reports.py", *options) == 0
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| ")][1:]
    names = ["training, 2000 steps, 403 rows of log", "2000 detections", "an empty page"]
    assert [row[1].strip() for row in rows] == names
    assert all(float(row[4]) < 1 for row in rows[:2])
    assert all(float(row[6]) >= 0 for row in rows)


def test_no_such_browser(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no program of-no-such-name" in failure(
        capsys, "scripts/benchmark/reports.py", "--browser", "of-no-such-name"
    )
