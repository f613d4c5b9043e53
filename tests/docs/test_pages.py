"""README and docs: links lead somewhere, the site has every page, and the page of all keys is in step with config."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
import yaml

from scripts.pages.config_files import read_config_file
from scripts.pages.configuration import PAGE, page
from tests.helpers.commands import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))]


def prose(file: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(file: Path) -> set[str]:
    """Headings as a repository's browser and as the site call them, where both agree."""
    heads = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", head) for head in re.findall(r"^#+ (.*)$", prose(file), re.MULTILINE)]
    browser = {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}
    plain = [unicodedata.normalize("NFKD", head).encode("ascii", "ignore").decode() for head in heads]
    site = {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in plain}
    return browser & site


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links(file: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]*)\)", re.sub(r"`[^`\n]+`", "", prose(file)))
    for link in links:
        name, _, anchor = link.partition("#")
        target = (file.parent / name).resolve() if name else file
        assert target.exists(), link
        assert file.parent != DOCS or target.is_relative_to(DOCS), f"{link} leaves the site: name the file in `code`"
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_lists_are_lists_on_the_site_too(file: Path) -> None:
    """Its Markdown wants an empty line before the first item."""
    item = re.compile(r"(?:[-*]|\d+\.) ")
    for block in re.split(r"\n\s*\n", prose(file)):
        first, *others = block.strip("\n").splitlines() or [""]
        swallowed = [line for line in others if item.match(line)]
        assert not swallowed or item.match(first.lstrip()), swallowed


def pages_of(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    members = nav.values() if isinstance(nav, dict) else nav
    return [name for member in members for name in pages_of(member)]


def test_every_page_has_one_place_in_the_site() -> None:
    named = pages_of(yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(named) == sorted(file.name for file in DOCS.glob("*.md"))
    for file in (DOCS / "index.md", REPOSITORY / "README.md"):
        text = file.read_text(encoding="utf-8")
        assert not [name for name in named if name != "index.md" and f"{name})" not in text and f"{name}#" not in text]


def test_the_first_hour_shows_its_dataset() -> None:
    dataset = (DOCS / "examples" / "dataset" / "yard.yaml").read_text(encoding="utf-8")
    assert dataset in (DOCS / "FIRST_HOUR.md").read_text(encoding="utf-8")


def test_the_page_of_keys_is_in_step() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python scripts/pages/configuration.py"


def test_what_is_read_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    path = tmp_path / "group" / "a.yaml"
    path.write_text(
        "# What it is,\n# in two lines\ndefaults:\n  - other: x\none: 1 # first\n# Above\ntwo: # both\n"
        "  three: [1, 2] # third\n  # Before\n  four: ${.three}\n"
    )
    file = read_config_file(path, tmp_path)
    assert (file.name, file.folder, file.head, file.groups) == (
        "group/a",
        "group",
        "What it is, in two lines",
        {"other"},
    )
    assert [(key.name, key.default, key.text) for key in file.keys] == [
        ("group.one", "1", "first"),
        ("group.two", None, "both. Above"),
        ("group.two.three", "[1, 2]", "third"),
        ("group.two.four", "${.three}", "Before"),
    ]
