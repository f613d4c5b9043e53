"""Arrays of all processes on the first one, and figures of the first one on all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from modules.processes.host_group import host_group

Array = npt.NDArray[Any]


def world() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather_arrays(arrays: Mapping[str, Array]) -> list[dict[str, Array]] | None:
    """Bring the arrays of every process to the first one, as bytes: nothing is pickled.

    Args:
        arrays: one-dimensional, of the same names and dtypes on all processes; lengths may differ.

    Returns:
        by rank, on the first process; None on the others.
    """
    rank, count = world()
    if count == 1:
        return [dict(arrays)]
    parts: list[dict[str, Array]] = [{} for _ in range(count)]
    for name in sorted(arrays):
        blocks = _gather_bytes(np.ascontiguousarray(arrays[name]).tobytes(), rank, count)
        for part, block in zip(parts, blocks, strict=False):
            part[name] = np.frombuffer(block, dtype=arrays[name].dtype)
    return parts if rank == 0 else None


def _gather_bytes(data: bytes, rank: int, count: int) -> list[bytearray]:
    group = host_group()
    size = torch.tensor([len(data)])
    sizes = [torch.zeros_like(size) for _ in range(count)]
    dist.all_gather(sizes, size, group=group)
    lengths = [int(length) for length in sizes]
    block = torch.zeros(max(lengths), dtype=torch.uint8)
    if data:
        block[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    blocks = [torch.empty_like(block) for _ in range(count)] if rank == 0 else None
    dist.gather(block, blocks, group=group)
    found = blocks or []
    return [bytearray(b[:length].numpy().tobytes()) for b, length in zip(found, lengths, strict=False)]


def share_figures(figures: Mapping[str, float] | None, names: list[str]) -> dict[str, float]:
    """Give the figures of the first process to all, to the last digit.

    Args:
        figures: on the first process, with all of ``names``; None on the others.
        names: in the same order on all processes.
    """
    _, count = world()
    if count == 1:
        assert figures is not None, "the only process has the figures"
        return dict(figures)
    values = (
        torch.zeros(len(names), dtype=torch.float64)
        if figures is None
        else torch.tensor([figures[name] for name in names], dtype=torch.float64)
    )
    dist.broadcast(values, src=0, group=host_group())
    return dict(zip(names, values.tolist(), strict=True))
