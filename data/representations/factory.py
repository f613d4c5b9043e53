"""Representations by the names that the configuration uses."""

from __future__ import annotations

from data.representations.base import Representation
from data.representations.mixed_density import MixedDensityStack
from data.representations.names import known_kind
from data.representations.stacked_histogram import StackedHistogram
from data.representations.voxel_grid import VoxelGrid

CLASSES: dict[str, type[StackedHistogram] | type[MixedDensityStack] | type[VoxelGrid]] = {
    "stacked_histogram": StackedHistogram,
    "mixed_density": MixedDensityStack,
    "voxel_grid": VoxelGrid,
}


def make_representation(kind: str, bins: int, count_cutoff: int | None, dt_ms: float) -> Representation:
    """Representation of the given kind.

    Raises:
        UserError: the kind is unknown or a number out of range.

    >>> make_representation("mixed_density", 10, 32, 50).channels
    10
    """
    known_kind(kind)
    return CLASSES[kind](bins=bins, count_cutoff=count_cutoff, dt_ms=dt_ms)
