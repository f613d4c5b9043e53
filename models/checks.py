"""Checks of settings: a wrong value is named with its key."""

from __future__ import annotations

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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
