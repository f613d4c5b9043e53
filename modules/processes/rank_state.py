"""States that every process has for itself: collected without pickle, put back on the process they came from."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist


def random_states() -> dict[str, Any]:
    """States of the global generators of Python, NumPy and torch, as plain containers and tensors."""
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002 - saved as it is, whoever uses it
    version, words, gauss = random.getstate()
    states: dict[str, Any] = {
        "python": {"version": version, "words": torch.tensor(words, dtype=torch.int64), "gauss": gauss},
        "numpy": {
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "rest": [int(position), int(has_gauss), float(cached)],
        },
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put back what ``random_states`` returned."""
    python, array = states["python"], states["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    np.random.set_state(("MT19937", array["keys"].numpy().astype(np.uint32), *array["rest"]))  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())


def gather_states(state: dict[str, Any], world_size: int, group: Any = None) -> list[dict[str, Any]]:
    """Bring the states of all processes to the first one; collective.

    Args:
        state: of this process: plain containers and tensors.
        world_size: number of processes.
        group: a gloo group when the default one cannot send host memory.

    Returns:
        The states by rank on the first process, an empty list on others.
    """
    if world_size == 1:
        return [state]
    buffer = io.BytesIO()
    torch.save(state, buffer)
    mine = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
    sizes = torch.zeros(world_size, dtype=torch.int64)
    sizes[dist.get_rank()] = len(mine)
    dist.all_reduce(sizes, group=group)
    padded = torch.zeros(int(sizes.max()), dtype=torch.uint8)
    padded[: len(mine)] = mine
    first = dist.get_rank() == 0
    everyone = [torch.empty_like(padded) for _ in range(world_size)] if first else None
    dist.gather(padded, everyone, dst=0, group=group)
    if everyone is None:
        return []
    return [
        torch.load(io.BytesIO(part[:size].numpy().tobytes()), map_location="cpu", weights_only=True)
        for part, size in zip(everyone, sizes.tolist(), strict=True)
    ]
