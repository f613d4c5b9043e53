"""Memory of batches: used again when nobody holds the batch any more, and shared where another process gets it."""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

_KEPT = 2
"""Batches whose memory is kept: one is in use while the next is read."""
_FREE = 2
"""References to memory that only the list of it and the question itself hold."""


class _Memory:
    """Pieces of memory of this process. Fresh pages cost more than what is written to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[npt.NDArray[np.uint8]] = []

    def take(self, nbytes: int) -> npt.NDArray[np.uint8]:
        """A piece that nothing else refers to: arrays and tensors on it, and views of them, count as references."""
        with self._lock:
            for index in range(len(self._kept)):
                if sys.getrefcount(self._kept[index]) == _FREE and self._kept[index].nbytes == nbytes:
                    return self._kept[index]
            # Pieces of another size, or all in use: the oldest goes its own way.
            piece = np.empty(nbytes, dtype=np.uint8)
            self._kept = [*self._kept, piece][-_KEPT:]
            return piece


_memory = _Memory()


def batch_memory(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    """A tensor with undefined contents.

    In a loader process it lies in shared memory from the beginning, so that handing it over copies nothing.
    """
    kind = torch.from_numpy(np.empty(0, dtype=dtype)).dtype
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes == 0:
        return torch.empty(shape, dtype=kind)
    if get_worker_info() is not None:
        storage = torch.UntypedStorage._new_shared(nbytes, device="cpu")
        return torch.empty(0, dtype=kind).set_(storage, 0, shape)  # type: ignore[call-overload]
    return torch.from_numpy(_memory.take(nbytes).view(dtype)).view(shape)
