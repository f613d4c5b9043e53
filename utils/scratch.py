"""Memory for what is in between: of one thread, the same again the next time."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

_of_thread = threading.local()


def scratch(use: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array with undefined contents that holds until this thread asks for the same use again."""
    array: npt.NDArray[Any] | None = getattr(_of_thread, use, None)
    if array is None or array.shape != shape or array.dtype != dtype:
        array = np.empty(shape, dtype=dtype)
        setattr(_of_thread, use, array)
    return array
