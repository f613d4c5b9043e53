"""Settings from the composed config: sections become dataclasses, and values are checked for kind and range."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from omegaconf import OmegaConf

from utils.errors import UserError

T = TypeVar("T")


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The composed configuration as plain containers, everything derived and resolved."""
    if not OmegaConf.is_config(config):
        return dict(config)
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[arg-type] # it is one
    if not isinstance(container, dict):
        raise TypeError("the composed config is a mapping")
    return {str(key): value for key, value in container.items()}


def section(config: Mapping[str, Any], key: str, names: Sequence[str] = ()) -> Mapping[str, Any]:
    """The mapping under a key.

    Args:
        config: plain containers.
        key: e.g. ``logging.health``.
        names: of the keys below it, for the message.

    Raises:
        UserError: the mapping was replaced by a single value.
    """
    node: Any = config
    for part in key.split("."):
        node = node[part]
    if not isinstance(node, Mapping):
        raise UserError(
            expected=f"keys below it: {', '.join(names)}" if names else "keys below it",
            got=repr(node),
            where=key,
            fix=f"set one of them, e.g. {key}.{names[0]}=..." if names else f"set {key}.KEY=...",
        )
    return node


def settings_of(kind: type[T], config: Mapping[str, Any], key: str, **more: Any) -> T:
    """A dataclass of the values under a key that have the names of its fields.

    Args:
        kind: the dataclass; what the section lacks has its default.
        config: plain containers.
        key: of the section, e.g. ``logging.health``.
        more: fields that do not stand there as they are.

    Raises:
        UserError: what the dataclass raises, or there is no section but a single value.

    >>> from dataclasses import make_dataclass
    >>> Lanes = make_dataclass("Lanes", ["train", "least"])
    >>> settings_of(Lanes, {"batch_size": {"train": 8, "eval": 4}}, "batch_size", least=2)
    Lanes(train=8, least=2)
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type] # a dataclass
    node = section(config, key, names)
    return kind(**{name: node[name] for name in names if name in node} | more)


def whole(value: Any, key: str, least: int = 1) -> int:
    """A whole number.

    Raises:
        UserError: anything else, or one below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        none = "" if least else ", or 0 for none"
        raise UserError(expected=f"a whole number from {least}", got=repr(value), where=key, fix=f"set {key}=N{none}")
    return value


def processes(value: Any, key: str) -> int | None:
    """A number of processes: None for one per core, 0 for none beside this one.

    Raises:
        UserError: anything else.
    """
    return None if value is None else whole(value, key, 0)


def number(value: Any, key: str, least: float = 0.0, most: float = math.inf) -> float:
    """A number; whole ones become floats.

    Raises:
        UserError: anything else, or one below ``least`` or above ``most``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most or value == math.inf:
        raise UserError(
            expected=f"a number from {least:g}" + (f" to {most:g}" if most < math.inf else ""),
            got=repr(value),
            where=key,
            fix=f"give {key} such a number",
        )
    return float(value)


def choice(value: Any, choices: Collection[str], key: str) -> str:
    """One of several words.

    Raises:
        UserError: another one.

    >>> choice("bzip", ("zip", "gzip", "none"), "output.form")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    utils.errors.UserError: expected: zip, gzip or none
    ...
    """
    if value not in tuple(choices):
        *others, last = choices
        raise UserError(expected=f"{', '.join(others)} or {last}", got=repr(value), where=key, fix="choose one of them")
    return value
