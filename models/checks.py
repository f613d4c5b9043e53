"""Checks of settings: a wrong value is named with its key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from utils.errors import UserError


def require(condition: bool, where: str, expected: str, got: object, fix: str) -> None:
    """Raise a UserError with these parts unless the condition holds."""
    if not condition:
        raise UserError(expected=expected, got=repr(got), where=where, fix=fix)


def require_share(value: float, where: str) -> None:
    """Raise a UserError unless the value lies in [0, 1)."""
    require(_is_number(value) and 0.0 <= value < 1.0, where, "a share in [0, 1)", value, "give a number such as 0.1")


def require_positive(value: float, where: str) -> None:
    """Raise a UserError unless the value is above zero."""
    require(_is_number(value) and value > 0, where, "a positive number", value, "give a number above 0")


def whole_numbers(
    values: object, where: str, expected: str, example: str, least: int, right: Callable[[tuple[int, ...]], bool]
) -> tuple[int, ...]:
    """A list of whole numbers from ``least`` on that is ``right`` as a whole; raises a UserError for anything else.

    >>> whole_numbers([6, 8, 8], "window", "three numbers", "[6,8,8]", 2, lambda sides: len(sides) == 3)
    (6, 8, 8)
    """
    listed = tuple(values) if isinstance(values, Sequence) and not isinstance(values, str) else None
    if listed is None or not all(_is_whole(value) and value >= least for value in listed) or not right(listed):
        got = values if listed is None else list(listed)
        raise UserError(expected=expected, got=repr(got), where=where, fix=f"set {where}={example}")
    return listed


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
