"""Files and folders appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.atomic import atomic_dir, atomic_path, write_json


def test_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"version": 1})
    with pytest.raises(RuntimeError, match="stop"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == '{\n  "version": 1\n}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), atomic_dir(tmp_path / "d") as temporary:
        (temporary / "x").write_text("half")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_folder_appears_whole(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "d") as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "x").write_text("whole")
    assert (tmp_path / "d" / "sub" / "x").read_text() == "whole"
