"""Commands beyond the four entry points, and what their command lines share: the parser, numbers in range, mistakes."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from utils.errors import UserError


def make_parser(file: str, description: str | None, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser that is called as its file, and whose help keeps the lines of the text."""
    name, form = Path(file).name, argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=name, description=description, epilog=epilog, formatter_class=form)


def check_least(args: argparse.Namespace, **least: float) -> None:
    """Refuse numbers that are too small, before the work starts.

    Args:
        args: of the command line.
        least: smallest number by the option's name with underscores; of several numbers all are looked at, and an
            option without one is right.

    Raises:
        UserError: a number is smaller.
    """
    given = {name: getattr(args, name) for name in least}
    numbers = [(name, value if isinstance(value, list) else [value]) for name, value in given.items()]
    if any(value is not None and value < least[name] for name, values in numbers for value in values):
        options = [f"--{name.replace('_', '-')}" for name in least]
        raise UserError(
            expected=", ".join(f"{option} from {limit}" for option, limit in zip(options, least.values(), strict=True)),
            got=", ".join(str(value) for value in given.values()),
            where=", ".join(options),
            fix="give larger numbers",
        )


def positive(text: str) -> float:
    """A number above zero."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be more than zero, got {text}")
    return value


def at_least_zero(text: str) -> float:
    """A number that is not negative."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = at_least_zero(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"must not be more than 1, got {text}")
    return value


def count(text: str) -> int:
    """A whole number above zero."""
    number = positive(text)
    if number % 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text}")
    return int(number)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text}") from None
