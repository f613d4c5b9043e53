"""The tracking benchmark runs and writes its table."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.commands import run


def test_a_row_for_each_length(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    options = ("--frames", "20", "40", "--boxes", "3", "--runs", "1", "--markdown", str(page))
    assert run("scripts/benchmark/tracking.py", *options) == 0
    assert "| 20 |" in page.read_text()
    assert "| 40 |" in page.read_text()
