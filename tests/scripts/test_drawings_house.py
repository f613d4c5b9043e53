"""The picture of the house is drawn, and no import goes in a circle."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from scripts.drawings.imports import circles, levels, read_house, room_of
from scripts.drawings.picture import STAIRS
from tests.helpers.commands import REPOSITORY, run


def test_the_picture_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "house.png"
    assert run("scripts/drawings/house.py", "--output", str(picture)) == 0
    listed = capsys.readouterr().out
    for room in ("commands.train", "data.sequences", "models.layers", "modules.training", "utils.errors"):
        assert room in listed
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert min(drawn.shape[:2]) > 1000
    assert picture.stat().st_size < 200_000


def test_no_circle_and_no_arrow_against_the_rules() -> None:
    house = read_house(REPOSITORY)
    assert not circles(house.imports)
    floors = {(room_of(source).split(".")[0], room_of(target).split(".")[0]) for source, target in house.imports}
    assert {pair for pair in floors if pair[0] != pair[1]} <= set(STAIRS)


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils/__init__.py").write_text("from utils.a import x\n")
    (tmp_path / "utils/a.py").write_text("def f():\n    from utils import b\n")
    (tmp_path / "utils/b.py").write_text("import utils.a\nimport os\n")
    (tmp_path / "train.py").write_text("from utils.b import y\n")
    house = read_house(tmp_path)
    assert house.imports == {("utils", "utils.a"), ("utils.a", "utils.b"), ("utils.b", "utils.a"), ("train", "utils.b")}
    assert circles(house.imports) == [["utils.a", "utils.b"]]
    assert house.rooms()["utils.a"] == (1, 2)


def test_a_room_lies_above_what_it_imports() -> None:
    assert levels("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("d", "elsewhere")]) == {"a": 2, "b": 1, "c": 0, "d": 0}
