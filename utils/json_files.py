"""JSON files, read with a limit of size and with the kind of each field checked: whatever is wrong is one message."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.errors import UserError

Kind = type | list[Any] | Mapping[Any, Any]
"""What a value must be: a type (``float`` takes whole numbers and NaN too, ``object`` anything); ``[kind]`` for a list
of such values; a mapping for an object with these fields, ``"name?"`` for one that may be missing, ``...`` for all
others."""

_SHARE = 16
"""A JSON file may be as large as this part of the memory: as Python objects it takes about ten times its size."""


def memory_bytes() -> int:
    """Physical memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_json(path: Path | str, kind: Kind = object, *, expected: str, fix: str) -> Any:
    """Read a JSON file.

    Args:
        path: of the file.
        kind: what it must hold.
        expected: the file in words, for the message.
        fix: what to do when it is damaged.

    Raises:
        UserError: it cannot be read, is no JSON, too large, or of another kind; the message names the field.
    """
    value, problem = _read(Path(path))
    problem = problem or wrong_kind(value, kind)
    if problem is not None:
        raise UserError(expected=expected, got=problem, where=str(path), fix=fix)
    return value


def _read(path: Path) -> tuple[Any, str | None]:
    """What a file holds, and what is wrong with it."""
    try:
        size, limit = path.stat().st_size, memory_bytes() // _SHARE
        if size > limit:
            return None, f"{size / 2**20:.0f} MiB, more than the {limit / 2**20:.0f} MiB that fit this machine's memory"
        return json.loads(path.read_text(encoding="utf-8")), None
    except OSError as error:
        return None, str(error.strerror or error)
    except RecursionError:
        return None, "lists within lists without end"
    except ValueError as error:
        return None, f"no JSON: {error}"


def wrong_kind(value: Any, kind: Kind, name: str = "") -> str | None:
    """What is wrong with a value of JSON, None if nothing is.

    >>> wrong_kind({"steps": 4, "figures": {"AP": 0.5}}, {"steps": int, "max_steps?": int, "figures": {...: float}})
    >>> wrong_kind({"steps": 1e400}, {"steps": int}), wrong_kind([1, "a"], [int]), wrong_kind({}, {"steps": int})
    ('steps is inf, no whole number', "[1] is 'a', no whole number", 'steps is missing')
    """
    if isinstance(kind, type):
        return None if _is(value, kind) else _says(name, value, _WORDS.get(kind, kind.__name__))
    if isinstance(kind, list):
        if not isinstance(value, list):
            return _says(name, value, "list")
        found = (wrong_kind(each, kind[0], f"{name}[{at}]") for at, each in enumerate(value))
        return next((problem for problem in found if problem), None)
    if not isinstance(value, dict):
        return _says(name, value, "object")
    fields = {str(field).removesuffix("?"): wanted for field, wanted in kind.items() if field is not ...}
    missing = [field for field in fields if field in kind and field not in value]
    if missing:
        return f"{_below(name, missing[0])} is missing"
    others = kind.get(..., object)
    found = (wrong_kind(each, fields.get(field, others), _below(name, field)) for field, each in value.items())
    return next((problem for problem in found if problem), None)


_WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", dict: "object", list: "list"}


def _is(value: Any, kind: type) -> bool:
    if kind in (int, float) and isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, kind)


def _below(name: str, field: str) -> str:
    return f"{name}.{field}" if name else field


def _says(name: str, value: Any, word: str) -> str:
    text = repr(value)
    return f"{name or 'the file'} is {text if len(text) <= 40 else f'{text[:40]}...'}, no {word}"
