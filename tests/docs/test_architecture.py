"""The page on the architecture: what it names is there, and its order of rooms is the one that is checked."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.helpers.commands import REPOSITORY

PAGE = (REPOSITORY / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```$", "", PAGE, flags=re.DOTALL | re.MULTILINE)
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PROSE, flags=re.DOTALL | re.MULTILINE))


def paths(text: str) -> list[str]:
    """What is quoted and looks like a file or a folder."""
    names = [name for name in re.findall(r"`([^`\n]+)`", text) if not re.search(r"NAME|[=*() ]", name)]
    return [name for name in names if "/" in name or re.search(r"\.(md|toml|py|yaml)$", name)]


def test_what_is_named_exists() -> None:
    links = [f"docs/{link}" for link in re.findall(r"\]\((?!http)([^)#]+)\)", PROSE)]
    assert len(paths(PROSE)) > 80
    missing = [name for name in paths(PROSE) + links if not (REPOSITORY / name).exists() and name != "config.yaml"]
    assert not missing, missing


@pytest.mark.parametrize("of_what", ["frame", "pseudo box", "config key", "checkpoint"])
def test_a_path_is_a_list_of_places(of_what: str) -> None:
    steps = re.findall(
        r"^\d+\. (.*?)(?=^\d+\. |\n\n|\Z)", SECTIONS[f"The path of a {of_what}"], flags=re.DOTALL | re.MULTILINE
    )
    assert len(steps) >= 7
    assert sum(bool(paths(step)) for step in steps) >= len(steps) - 1


def test_the_order_of_rooms_is_the_one_that_is_checked() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (inside,) = (contract for contract in settings["contracts"] if contract.get("containers") == ["modules"])
    height = {room: -level for level, row in enumerate(inside["layers"]) for room in row.split(" | ")}
    (told,) = re.findall(r"rooms have an order too: (.*?)\. `make lint`", PROSE, flags=re.DOTALL)
    heights = [height[room] for room in re.findall(r"`(\w+)`", told)]
    assert len(heights) > 10
    assert heights == sorted(heights, reverse=True)
