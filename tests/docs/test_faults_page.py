"""docs/FAULTS.md: each line names a test that exists and that looks for the words which the line quotes."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from omegaconf import OmegaConf

from config.compose import compose
from tests.helpers.commands import REPOSITORY

PAGE = (REPOSITORY / "docs" / "FAULTS.md").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|\n").split("|"))
    for line in PAGE.splitlines()
    if line.startswith("|") and "::test_" in line
]


@cache
def functions(file: str) -> dict[str, str]:
    """Source of each test of a file, decorators included."""
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    lines = text.splitlines()
    return {
        node.name: "\n".join(lines[min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1 : node.end_lineno])
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[-1].split("::")[1])
def test_the_words_are_those_that_the_test_looks_for(row: tuple[str, ...]) -> None:
    assert len(row) == 5, row
    _, told, status, _, test = row
    file, name = test.split("::")
    assert name in functions(file), f"no such test: {test}"
    source = functions(file)[name]
    for words in re.findall(r"`([^`]+)`", told):
        assert words in source, f"{words!r} is not what {test} looks for"
    if status == "2":
        stops = ("failure(", "UserError", "code == 2", "[2, 2]")
        assert any(sign in source for sign in stops), f"{test} does not look for status 2"


def test_every_test_of_these_files_that_makes_a_fault_is_on_the_page() -> None:
    named = {row[-1] for row in ROWS}
    assert len(named) == len(ROWS) >= 35
    for file in ("tests/scripts/train/test_train_faults.py", "tests/scripts/test_security.py"):
        of_settings = ("settings_out_of_range", "the_payload_itself", "the_rules_find")
        missing = [
            name
            for name in functions(file)
            if name.startswith("test_")
            and not name.endswith(of_settings)
            and f"{file}::{name}" not in named
            and not any(part in name for part in of_settings)
        ]
        assert not missing, missing


def test_the_keys_exist() -> None:
    config = OmegaConf.create(compose(["dataset=synthetic", "+experiment/synthetic=demo"]))
    keys = re.findall(r"^\| `((?:training|hardware|logging)\.[\w.]+)` \|", PAGE, flags=re.MULTILINE)
    assert len(keys) >= 7
    for key in keys:
        assert OmegaConf.select(config, key) is not None, key
