"""Which label times become labelled frames, and where the windows between them end (docs/LABEL_TIMES.md)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TOLERANCE_US = 2000
"""A label counts as lying at a multiple of the base step within this."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WindowPlan:
    """When windows end and which of them are labelled.

    Attributes:
        ends_us: int64 [T], ascending; window i covers [ends_us[i] − dt, ends_us[i]].
        label_times_us: int64 [F], ascending.
        objframe_idx_2_repr_idx: int64 [F], the window that ends at each label time.
    """

    ends_us: Times
    label_times_us: Times
    objframe_idx_2_repr_idx: Times


def infer_base_step_us(times_us: Times, target_us: float) -> float:
    """Multiple of the median label step that is nearest to ``target_us``, at least one step.

    With a target of 100 ms: six steps of 60 Hz labels, three of 30 Hz, one of 10 Hz or slower.

    >>> infer_base_step_us(np.arange(10) * 33_333, 100_000)
    99999.0
    """
    if len(times_us) < 2:
        return float(target_us)
    step = float(np.median(np.diff(times_us)))
    return max(1, round(target_us / step)) * step


def select_label_times(times_us: Times, align_us: float, base_step_us: float) -> Times:
    """Label times to keep.

    The first at or after ``align_us``, then those whose distance to the last kept one is a multiple (one at least)
    of ``base_step_us`` within 2 ms.

    Args:
        times_us: int64 [N], ascending, without repetition.

    >>> select_label_times(np.array([40, 133, 383, 384, 634, 1200]) * 1000, 100_000, 250_000).tolist()
    [133000, 383000, 634000]
    """
    kept: list[int] = []
    for time in times_us[times_us >= align_us].tolist():
        if kept:
            distance = time - kept[-1]
            steps = round(distance / base_step_us)
            if steps < 1 or abs(distance - steps * base_step_us) > TOLERANCE_US:
                continue
        kept.append(time)
    return np.asarray(kept, dtype=np.int64)


def group_times(times_us: Times, tolerance_us: float) -> Times:
    """For each time the last one of its group; a group lasts at most ``tolerance_us``.

    Args:
        times_us: int64 [N], in any order.

    >>> group_times(np.array([100, 101, 150, 199, 301]), 50).tolist()
    [150, 150, 150, 199, 301]
    """
    times, where = np.unique(times_us, return_inverse=True)
    since = times - times[:1]  # small numbers, whatever clock they come from
    ends = np.searchsorted(
        since, since + float(tolerance_us), side="right"
    )  # one behind the group that each would begin
    last, first = times.copy(), 0
    while first < len(times):
        last[first : ends[first]] = times[ends[first] - 1]
        first = int(ends[first])
    return last[where]


def plan_windows(
    label_times_us: Times,
    base_step_us: float,
    dt_us: int,
    windows_per_step: int | None = None,
    t_end_us: int | None = None,
    t_start_us: int = 0,
) -> WindowPlan:
    """Windows from the first label backwards to the start, and evenly spread between labels.

    Before the first label windows lie dt apart, as long as they start after ``t_start_us``. Between two labels that
    are k base steps apart lie k·``windows_per_step`` windows, the last of which ends at the later label.

    Args:
        label_times_us: kept label times, int64 [F], ascending. If none, windows end at dt, 2·dt, ... behind the start.
        base_step_us: the step between labels.
        dt_us: length of a window.
        windows_per_step: None = round(base step / dt), at least 1.
        t_end_us: go on dt apart up to this time; None ends with the last label.
        t_start_us: where the recording begins.
    """
    per_step = windows_per_step or max(1, round(base_step_us / dt_us))
    ends: list[int] = []
    labelled: list[int] = []
    for time in label_times_us.tolist():
        if not ends:
            ends = list(range(time, min(t_start_us + dt_us, time - 1), -dt_us))[::-1]
        else:
            start = ends[-1]
            count = max(1, round((time - start) / base_step_us)) * per_step
            ends += [start + (time - start) * i // count for i in range(1, count + 1)]
        labelled.append(len(ends) - 1)
    if t_end_us is not None:
        ends += range((ends[-1] if ends else t_start_us) + dt_us, t_end_us + 1, dt_us)
    return WindowPlan(
        ends_us=np.asarray(ends, dtype=np.int64),
        label_times_us=label_times_us.astype(np.int64),
        objframe_idx_2_repr_idx=np.asarray(labelled, dtype=np.int64),
    )
