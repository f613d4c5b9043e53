"""Families of models: what is wrong with a package of somebody else's is said, with its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.registry import spec_of
from utils.errors import UserError

WHOLE = "from models.registry import ModelSpec\nSPEC = ModelSpec(family={!r}, build=lambda section: None)\n"


@pytest.mark.parametrize(
    ("name", "text", "got"),
    [
        ("raises", "1 / 0", "ZeroDivisionError"),
        ("leaves", "import sys; sys.exit(0)", "SystemExit"),
        ("lacks", "import a_library_that_nobody_has", "ModuleNotFoundError"),
        ("unwritten", "def", "SyntaxError"),
        ("empty", "", "no SPEC"),
        ("misnamed", WHOLE.format("another"), "'another'"),
    ],
)
def test_packages_that_are_no_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, got: str
) -> None:
    (tmp_path / name).mkdir()
    file = tmp_path / name / "__init__.py"
    file.write_text(text)
    monkeypatch.setenv("LEOD_MODELS", str(tmp_path))
    with pytest.raises(UserError) as mistake:
        spec_of(name)
    assert got in mistake.value.got
    assert mistake.value.where == str(file)


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEOD_MODELS", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="LEOD_MODELS"):
        spec_of("mine")


def test_one_that_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text(WHOLE.format("own"))
    monkeypatch.setenv("LEOD_MODELS", str(tmp_path))
    assert spec_of("own").family == "own"
    with pytest.raises(UserError, match="own, rnndet"):
        spec_of("absent")
