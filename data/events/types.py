"""The event stream as four parallel arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.errors import UserError


@dataclass(frozen=True, eq=False)
class Events:
    """A run of events, in time order unless a reader says otherwise.

    Attributes:
        t: int64 [N], microseconds.
        x: uint16 [N], column, 0 at the left.
        y: uint16 [N], row, 0 at the top.
        p: uint8 [N], 1 = brighter, 0 = darker.
    """

    t: npt.NDArray[np.int64]
    x: npt.NDArray[np.uint16]
    y: npt.NDArray[np.uint16]
    p: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        lengths = {len(self.t), len(self.x), len(self.y), len(self.p)}
        if len(lengths) != 1:
            raise ValueError(f"t, x, y and p must have one length, got {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.t)

    @classmethod
    def from_arrays(cls, t: npt.ArrayLike, x: npt.ArrayLike, y: npt.ArrayLike, p: npt.ArrayLike) -> Events:
        """Cast arrays of any numeric type; a polarity below zero becomes 0, above zero 1.

        Raises:
            UserError: times that are no whole numbers: seconds, most likely.

        >>> Events.from_arrays([5, 6], [1, 2], [0, 0], [-1, 1]).p
        array([0, 1], dtype=uint8)
        """
        times = np.asarray(t)
        if times.dtype.kind == "f" and (times % 1 != 0).any():
            raise UserError(
                expected="times in whole microseconds",
                got=f"times like {times[times % 1 != 0][0]:g}",
                where="t of the events",
                fix="for seconds: Events.from_arrays((1e6 * t).round(), x, y, p)",
            )
        return cls(
            t=np.ascontiguousarray(times, dtype=np.int64),
            x=np.ascontiguousarray(x, dtype=np.uint16),
            y=np.ascontiguousarray(y, dtype=np.uint16),
            p=(np.asarray(p) > 0).astype(np.uint8),
        )

    @classmethod
    def empty(cls) -> Events:
        """No events."""
        nothing: list[Any] = []
        return cls.from_arrays(nothing, nothing, nothing, nothing)

    def slice(self, start: int, stop: int) -> Events:
        """Events ``start`` to ``stop`` (exclusive) as views."""
        part = slice(start, stop)
        return Events(t=self.t[part], x=self.x[part], y=self.y[part], p=self.p[part])

    def window(self, t0_us: int, t1_us: int) -> Events:
        """Events with ``t0_us <= t <= t1_us`` as views; times must not step backwards.

        >>> events = Events.from_arrays([1, 2, 2, 3, 4], [0] * 5, [0] * 5, [1] * 5)
        >>> events.window(2, 3).t.tolist()
        [2, 2, 3]
        """
        start, stop = window_indices(self.t, t0_us, t1_us)
        return self.slice(start, stop)

    def in_order(self) -> Events:
        """The same events with times that step backwards raised to the running maximum (RVT)."""
        if len(self) < 2 or bool((self.t[1:] >= self.t[:-1]).all()):
            return self
        return Events(t=np.maximum.accumulate(self.t), x=self.x, y=self.y, p=self.p)


def window_indices(t: npt.NDArray[np.int64], t0_us: int, t1_us: int) -> tuple[int, int]:
    """First index and one past the last index of ``t0_us <= t <= t1_us`` in ordered times."""
    start = int(np.searchsorted(t, t0_us, side="left"))
    return start, max(start, int(np.searchsorted(t, t1_us, side="right")))
