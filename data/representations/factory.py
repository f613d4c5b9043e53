"""Representations by the names that the configuration uses."""

from __future__ import annotations

from data.representations.base import Representation
from data.representations.mixed_density import MixedDensityStack
from data.representations.stacked_histogram import StackedHistogram
from utils.errors import UserError

KINDS: dict[str, type[StackedHistogram] | type[MixedDensityStack]] = {
    "stacked_histogram": StackedHistogram,
    "mixed_density": MixedDensityStack,
}


def make_representation(kind: str, bins: int, count_cutoff: int | None, dt_ms: float) -> Representation:
    """Representation of the given kind.

    Raises:
        UserError: the kind is unknown or a number out of range.

    >>> make_representation("mixed_density", 10, 32, 50).channels
    10
    """
    if kind not in KINDS:
        raise UserError(
            expected=f"one of {', '.join(KINDS)}", got=repr(kind), where="dataset.representation.kind", fix="choose one"
        )
    return KINDS[kind](bins=bins, count_cutoff=count_cutoff, dt_ms=dt_ms)
