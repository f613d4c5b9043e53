"""Layouts by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from data.preprocessing.layouts.base import Layout
from utils.errors import UserError


def layout_names() -> list[str]:
    """Names of all layouts, sorted."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    return [name for name in files if hasattr(_module(name), "LAYOUT")]


def layout_of(name: str) -> Layout:
    """The layout of a name.

    Raises:
        UserError: there is none.
    """
    names = layout_names()
    if name not in names:
        raise UserError(
            expected=f"one of {', '.join(names)}",
            got=repr(name),
            where="dataset.preprocessing.layout",
            fix="choose one of these, or put boxes beside their recordings (beside)",
        )
    return _module(name).LAYOUT


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__package__}.{name}")
