"""Cells of the notebooks run from top to bottom, and nothing of the machine they were written on is in them."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from tests.helpers.commands import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "docs" / "notebooks").glob("*.ipynb"))
TOY = {"first_look": {"SECONDS": 1.5, "STEPS": 1}}
"""Small values of what the first cell of code sets."""


def cells(notebook: Path) -> list[str]:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_cells_run(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(notebook.parent)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", list(sys.path))
    shown: list[str] = []
    monkeypatch.setattr(plt, "show", lambda: (shown.append("picture"), plt.close("all")))
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(cells(notebook)):
        exec(compile(source, f"{notebook.name}, cell {number}", "exec"), names)
        if number == 0:
            assert TOY[notebook.stem].keys() <= names.keys()
            names.update(TOY[notebook.stem])
    assert len(shown) == sum("show(" in source for source in cells(notebook)) - 1  # one cell defines it


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_nothing_is_stored_but_the_cells(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    for cell in content["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert "/home/" not in "".join(cell["source"])
        assert "/tmp/" not in "".join(cell["source"])
    assert f"notebooks/{notebook.name}" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
