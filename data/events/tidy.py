"""One piece of a recording put right: what lies outside or astray goes, times never step back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

BEGINNING = np.iinfo(np.int64).min
"""The running maximum of times before the first event."""

ASTRAY_US = 1_000_000
"""An event this far ahead of those before and behind it is astray if there are few such in a row: it is left out."""

END_ASTRAY_US = 60_000_000
"""The same at either end of a recording, where it can be compared with one side only."""

FOLLOWING = 8
"""Events that are looked at behind one that may be astray; the greater part of them decides."""

MANY = 1000
"""So many events have both polarities and more than one time."""


@njit(cache=True, nogil=True)
def _astray(t: npt.NDArray[Any], i: int, after: npt.NDArray[Any], latest: int, many: bool) -> int:
    """How far event ``i`` lies from its neighbours if it is astray, else 0; it is far ahead of ``latest``, or first.

    ``many``: there were enough events before to say that a last one is alone.
    """
    ahead = behind = seen = 0
    earliest = last = t[i]
    for k in range(i + 1, i + 1 + FOLLOWING):
        if k >= t.size + after.size:
            break
        other = t[k] if k < t.size else after[k - t.size]
        earliest, last = (min(earliest, other), max(last, other)) if seen else (other, other)
        seen += 1
        ahead += t[i] - other > ASTRAY_US
        behind += other - t[i] > END_ASTRAY_US
    if 2 * ahead > seen:
        return t[i] - earliest
    if latest == BEGINNING:  # the first event of all, long before others that are together
        return earliest - t[i] if seen == FOLLOWING and behind == seen and last - earliest < ASTRAY_US else 0
    alone = seen == 0 and many and t[i] - latest > END_ASTRAY_US
    return t[i] - latest if alone else 0


@njit(cache=True, nogil=True)
def _is_tidy(
    t: npt.NDArray[Any],
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    p: npt.NDArray[Any],
    height: int,
    width: int,
    latest: int,
    statistics: npt.NDArray[Any],
) -> bool:
    """Whether nothing is to be done, and then the statistics; no branches, so that the processor does several at once.

    A piece with times before any other is left to ``tidy``.
    """
    if t.size == 0 or latest == BEGINNING or t[0] < latest or t[0] - latest > ASTRAY_US:
        return False
    untidy, max_x, max_y, on = False, x[0], y[0], 0
    for i in range(1, t.size):
        step = t[i] - t[i - 1]
        untidy |= (step < 0) | (step > ASTRAY_US)
    for i in range(t.size):
        max_x, max_y = max(max_x, x[i]), max(max_y, y[i])
    if untidy or max_x >= width or max_y >= height:
        return False
    for i in range(t.size):
        on += p[i]
    statistics[:] = (t.size, 0, 0, 0, -1, -1, np.int64(max_x), np.int64(max_y), t[-1], 0, 0, on)
    return True


@njit(cache=True, nogil=True)
def tidy(
    t: npt.NDArray[Any],
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    p: npt.NDArray[Any],
    height: int,
    width: int,
    latest: int,
    after: npt.NDArray[Any],
    statistics: npt.NDArray[Any],
) -> None:
    """In place: leave out events outside the sensor or astray, raise times to the running maximum from ``latest`` on.

    ``after`` holds the first times of the next piece, or nothing. ``statistics``, int64 [12], receives: events kept,
    events moved in time, the farthest move, events outside, index of the first outside, index of the first moved,
    largest x and y, running maximum at the end, events astray, the farthest of them, events that are ON.
    """
    if _is_tidy(t, x, y, p, height, width, latest, statistics):
        return
    kept = back = step = outside = max_x = max_y = astray = far = on = 0
    first_outside = first_back = -1
    later = latest != BEGINNING
    for i in range(t.size):
        if x[i] >= width or y[i] >= height:
            if outside == 0:
                first_outside = i
            outside += 1
            continue
        time = t[i]
        if latest == BEGINNING or time - latest > ASTRAY_US:
            distance = _astray(t, i, after, latest, later or kept >= MANY)
            if distance:
                astray += 1
                far = max(far, distance)
                continue
        if time < latest:
            if back == 0:
                first_back = i
            back += 1
            step = max(step, latest - time)
            time = latest
        latest = time
        max_x, max_y = max(max_x, np.int64(x[i])), max(max_y, np.int64(y[i]))
        t[kept], x[kept], y[kept], p[kept] = time, x[i], y[i], p[i]
        on += p[i]
        kept += 1
    statistics[:] = (kept, back, step, outside, first_outside, first_back, max_x, max_y, latest, astray, far, on)
