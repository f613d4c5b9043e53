"""One number per class from what users write: a single number, one per class, or one per kind of class."""

from __future__ import annotations

from collections.abc import Sequence

from utils.errors import UserError


def per_class(values: float | Sequence[float], index: Sequence[int], where: str) -> tuple[float, ...]:
    """Spread numbers over classes.

    Args:
        values: one number for all classes; or one per class, in the order of their ids; or one per kind of class.
        index: the kind of each class, that is its place in ``values`` when these are fewer than the classes.
        where: key named in messages.

    Raises:
        UserError: no numbers, or another count of them.

    >>> per_class(0.5, [0, 1], "x"), per_class([0.7, 0.35], [1, 1, 0], "x"), per_class([0.1, 0.2, 0.3], [1, 1, 0], "x")
    ((0.5, 0.5), (0.35, 0.35, 0.7), (0.1, 0.2, 0.3))
    """
    kinds = sorted(set(index))
    numbers = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    if all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers):
        if not isinstance(values, Sequence):
            return (float(values),) * len(index)
        if len(numbers) == len(kinds) and kinds == list(range(len(kinds))):
            return tuple(float(numbers[kind]) for kind in index)
        if len(numbers) == len(index):
            return tuple(float(number) for number in numbers)
    counts = f"{len(kinds)} or {len(index)} numbers" if len(kinds) < len(index) else f"{len(index)} numbers"
    raise UserError(
        expected=f"one number or {counts}",
        got=f"{len(numbers)} numbers: {numbers}" if isinstance(values, Sequence) else repr(values),
        where=where,
        fix="give one number for all classes or one per class, e.g. [0.6,0.3]",
    )
