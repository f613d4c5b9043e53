"""The charts of docs/RESULTS.md are those of its tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.drawings.results import CHARTS, IMAGES, PAGE, tables_below
from tests.helpers.commands import run
from utils.errors import UserError


def test_charts_are_in_step_with_the_tables(tmp_path: Path) -> None:
    assert run("scripts/drawings/results.py", "--folder", str(tmp_path)) == 0
    page = PAGE.read_text(encoding="utf-8")
    for name in CHARTS:
        assert (tmp_path / name).read_bytes() == (IMAGES / name).read_bytes(), "python scripts/drawings/results.py"
        assert f"(images/{name})" in page


def test_tables_of_a_heading() -> None:
    text = "# A\n\n| a | b |\n|---|---:|\n| `x` |  |\n\nwords\n\n| c |\n|---|\n| 1 ± 2 |\n\n## B\n\nnone\n"
    assert tables_below(text, "A") == [[{"a": "x", "b": ""}], [{"c": "1 ± 2"}]]
    for heading in ("B", "C"):
        with pytest.raises(UserError, match="heading"):
            tables_below(text, heading)
