"""Who imports whom, read from the files, and what follows from it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

FLOORS = ("utils", "data", "models", "modules")
COMMANDS = "commands"
"""Floor of what is run: the files beside the folders, scripts and config."""

Import = tuple[str, str]


@dataclass(frozen=True)
class House:
    """What the files say.

    Args:
        lines: of every module, by its dotted name.
        imports: which module imports which, at whatever depth of the file.
    """

    lines: Mapping[str, int]
    imports: frozenset[Import]

    def rooms(self) -> dict[str, tuple[int, int]]:
        """Files and lines of every room."""
        found: dict[str, tuple[int, int]] = {}
        for name, lines in self.lines.items():
            files, before = found.get(room_of(name), (0, 0))
            found[room_of(name)] = files + 1, before + lines
        return found


def room_of(module: str) -> str:
    """The room of a module: what lies directly on its floor.

    >>> room_of("modules.training.trainer"), room_of("train"), room_of("scripts.rounds.plan"), room_of("utils")
    ('modules.training', 'commands.train', 'commands.scripts/rounds', 'utils.__init__')
    """
    floor, *inside = module.split(".")
    if floor not in FLOORS:
        return f"{COMMANDS}.{'/'.join([floor, *inside][:2])}"
    return f"{floor}.{inside[0] if inside else '__init__'}"


def read_house(root: Path) -> House:
    """Read the files beside the folders and those of all floors."""
    files = sorted(root.glob("*.py"))
    for folder in (*FLOORS, "config", "scripts"):
        files += sorted((root / folder).rglob("*.py"))
    names = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    lines, imports = {}, set()
    for name, path in names.items():
        text = path.read_text(encoding="utf-8")
        lines[name] = len(text.splitlines())
        imports |= {(name, target) for target in _imported(ast.parse(text), names) if target != name}
    return House(lines, frozenset(imports))


def _imported(tree: ast.AST, names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(names)
            found |= inner or {node.module}
    return found & set(names)


def circles(imports: Iterable[Import]) -> list[list[str]]:
    """Groups of names that import each other, directly or by others.

    >>> circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")])
    [['a', 'b', 'c']]
    """
    direct: dict[str, set[str]] = {}
    for source, target in imports:
        direct.setdefault(source, set()).add(target)

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = direct.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    all_reached = {name: reached(name) for name in direct}
    groups = {
        tuple(sorted(other for other in found if name in all_reached.get(other, ())))
        for name, found in all_reached.items()
        if name in found
    }
    return [list(group) for group in sorted(groups)]


def levels(rooms: Iterable[str], arrows: Iterable[Import]) -> dict[str, int]:
    """How high each room of a floor lies: 0 if it imports none of them, else above all that it imports."""
    height = dict.fromkeys(rooms, 0)
    inside = [(source, target) for source, target in arrows if source in height and target in height]
    for _ in height:  # more rounds than that would be a circle
        for source, target in inside:
            height[source] = max(height[source], height[target] + 1)
    return height
