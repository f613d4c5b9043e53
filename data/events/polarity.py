"""Polarity codes: what files write for ON and OFF."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)

_ON: dict[frozenset[float], int] = {
    frozenset((0, 1)): 1,
    frozenset((-1, 1)): 1,
    frozenset((-1, 0, 1)): 1,
    frozenset((1, 2)): 2,
    frozenset((1, 255)): 1,  # -1 in an unsigned byte
    frozenset((0, 255)): 255,
}
"""Which code is ON, by the codes that occur."""
_MOST_SHOWN = 6


class PolarityCodes:
    """Turn the codes of a file into 1 and 0; the first piece with more than one code says what they mean.

    Args:
        path: the file, for the warning.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._codes: frozenset[float] = frozenset()
        self._warned = False

    def on(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """uint8 [N]: 1 for ON, 0 for OFF, from any type of number."""
        if values.dtype.kind != "b" and len(values):
            low, high = values.min(), values.max()
            if not self._codes and low != high:
                self._codes = frozenset(np.unique(values).tolist())
                self._warn(self._codes not in _ON, self._codes)
            elif self._codes in _ON and (low < min(self._codes) or high > max(self._codes)):
                self._warn(True, self._codes | {low.item(), high.item()})
        on = _ON.get(self._codes)
        return (values == on if on is not None else values > 0).astype(np.uint8)

    def _warn(self, odd: bool, codes: frozenset[float]) -> None:
        if odd and not self._warned:
            self._warned = True
            listed = ", ".join(f"{code:g}" for code in sorted(codes)[:_MOST_SHOWN])
            listed += ", ..." * (len(codes) > _MOST_SHOWN)
            meaning = "above 0" if self._codes not in _ON else f"{_ON[self._codes]} alone"
            log.warning("%s: polarity codes %s: %s is taken as ON, which may be wrong", self._path, listed, meaning)
