"""Weights that follow from their names, so that reference numbers need no stored weights.

Of every entry of a state dict: normal numbers n of the shape, drawn by ``numpy.random.RandomState(crc32(name))``; then

* ``*.running_mean``: 0.1 n; ``*.running_var``: 1 + 0.1 |n|;
* 1-D ``*.weight`` (the scale of a norm): b + 0.1 b n, where b is 1 or, for names that match ``norm_re``, ``norm_base``;
* any other with at most one dimension: 0.1 n;
* the rest: g n / sqrt(numbers per output), g = sqrt(2) for convolutions (4-D, 5-D), else 1;

all of them times the number of the first pattern in ``scales`` that is found in the name.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
Array = npt.NDArray[Any]
_SAMPLES = 64


def fill_value(
    name: str,
    shape: Sequence[int],
    *,
    norm_base: float = 1.0,
    norm_re: str | None = None,
    scales: Iterable[tuple[str, float]] = (),
) -> Array:
    """The numbers of one entry, float32 [shape]."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    if name.endswith("running_mean"):
        value = 0.1 * drawn
    elif name.endswith("running_var"):
        value = 1 + 0.1 * np.abs(drawn)
    elif len(shape) == 1 and name.endswith("weight"):
        base = norm_base if norm_re is not None and re.search(norm_re, name) else 1.0
        value = base + 0.1 * base * drawn
    elif len(shape) <= 1:
        value = 0.1 * drawn
    else:
        gain = np.sqrt(2.0) if len(shape) >= 4 else 1.0
        value = gain * drawn / np.sqrt(np.prod(shape[1:]))
    factor = next((factor for pattern, factor in scales if re.search(pattern, name)), 1.0)
    return (value * factor).astype(np.float32)


@torch.no_grad()
def fill(network: Network, keep: Sequence[str] = (), **rule: Any) -> Network:
    """Fill every floating entry of a network's state dict but those whose name matches one of ``keep``; gives it back.

    ``rule`` is what ``fill_value`` takes.
    """
    for name, entry in network.state_dict().items():
        if entry.dtype.is_floating_point and not any(re.search(pattern, name) for pattern in keep):
            entry.copy_(torch.from_numpy(fill_value(name, entry.shape, **rule)))
    return network


def names_and_shapes(network: nn.Module) -> dict[str, dict[str, Any]]:
    """Of every entry: ``shape``, ``dtype``, ``kind`` (``param`` or ``buffer``), ``requires_grad``."""
    parameters = dict(network.named_parameters())
    return {
        name: {
            "shape": list(entry.shape),
            "dtype": str(entry.dtype).removeprefix("torch."),
            "kind": "param" if name in parameters else "buffer",
            "requires_grad": name in parameters and parameters[name].requires_grad,
        }
        for name, entry in network.state_dict().items()
    }


def digest(array: Tensor | Array) -> dict[str, Any]:
    """Kept of a large array: ``sum``, ``abssum``, ``l2`` in float64; 64 evenly spaced places and their values."""
    whole = array.detach().cpu().numpy() if isinstance(array, Tensor) else array
    flat = np.asarray(whole, np.float64).reshape(-1)
    places = np.unique(np.linspace(0, flat.size - 1, min(_SAMPLES, flat.size)).astype(np.int64))
    return {
        "sum": flat.sum(),
        "abssum": np.abs(flat).sum(),
        "l2": np.sqrt((flat * flat).sum()),
        "idx": places,
        "val": flat[places].astype(np.float32),
    }
