"""The files of ``config`` as their authors wrote them: keys, defaults and the comments beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SKIPPED = ("defaults", "hydra")
"""Keys of Hydra's own."""


@dataclass(frozen=True)
class Key:
    """One key: its name as it is typed, its default as it is written (a section has none), what its comments say."""

    name: str
    default: str | None
    text: str


@dataclass(frozen=True)
class ConfigFile:
    """A file of ``config``; ``name`` has no ending and is relative to it."""

    name: str
    head: str
    keys: tuple[Key, ...]
    groups: frozenset[str]

    @property
    def folder(self) -> str:
        """The group that it is a choice of; empty for a command's own file."""
        return self.name.rpartition("/")[0]


def read_config_file(path: Path, root: Path) -> ConfigFile:
    """Read one file.

    Args:
        path: of a YAML file.
        root: the folder ``config``.
    """
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(root).with_suffix("").as_posix()
    head = [line[1:].strip() for line in re.match(r"(#[^\n]*\n)*", text)[0].splitlines()]  # type: ignore[index]
    package = _package(name, head)
    node = yaml.compose(text)
    keys = tuple(_keys(node, text.splitlines(), package, len(head))) if isinstance(node, yaml.MappingNode) else ()
    words = " ".join(line for line in head if not line.startswith("@package"))
    return ConfigFile(name, words, keys, frozenset(_groups(yaml.safe_load(text) or {})))


def _package(name: str, head: list[str]) -> str:
    """What stands before the keys of a file on the command line, with its dot."""
    folder = name.rpartition("/")[0].replace("/", ".")
    if "@package _global_" in head or not folder:
        return ""
    return f"dataset.{name.replace('/', '.')}." if folder == "augmentation" else f"{folder}."


def _groups(values: dict[str, Any]) -> Iterator[str]:
    """Groups of which a file takes a choice, so that another one is chosen without a plus."""
    for entry in values.get("defaults", []):
        if isinstance(entry, dict):
            yield from (str(group).split("@")[0].removeprefix("optional ").removeprefix("/") for group in entry)


def _keys(node: yaml.MappingNode, lines: list[str], prefix: str, first: int) -> Iterator[Key]:
    """Keys of a mapping, depth first; ``first`` is the line in which comments of its first key may begin."""
    for key, value in node.value:
        line = key.start_mark.line
        if key.start_mark.column or key.value not in _SKIPPED:
            name = prefix + key.value
            above = _above(lines, line, first)
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                beside = _comment(lines[line][key.end_mark.column + 1 :])
                if above or beside:
                    yield Key(name, None, _joined(above, beside))
                yield from _keys(value, lines, f"{name}.", line + 1)
            else:
                end = value.end_mark
                default = lines[line][value.start_mark.column : end.column] if end.line == line else "..."
                yield Key(name, default or "null", _joined(above, _comment(lines[end.line][end.column :])))
        first = value.end_mark.line + (0 if value.end_mark.column == 0 else 1)


def _above(lines: list[str], line: int, first: int) -> str:
    """The comment in the lines right above a key."""
    begin = line
    while begin > first and lines[begin - 1].lstrip().startswith("#"):
        begin -= 1
    return " ".join(_comment(text) for text in lines[begin:line])


def _comment(text: str) -> str:
    return text.strip()[1:].strip() if text.strip().startswith("#") else ""


def _joined(above: str, beside: str) -> str:
    if not above or not beside:
        return above or beside
    return f"{beside}. {above}"
