"""Whether the times of labels and of events are of one clock, and if not, what most likely lies between them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from utils.errors import UserError

log = logging.getLogger(__name__)

Times = npt.NDArray[np.int64]

_UNITS = (
    (1e3, "labels in ms, or events in ns"),
    (1e6, "labels in s"),
    (1e-3, "labels in ns, or events in ms"),
    (1e-6, "events in s"),
)
_MOST_PER_SECOND = 1000
"""Labelled frames closer than this are labels in a larger unit."""
_MOST_FIT = 0.9
_LEAST_SPAN = 0.1
"""A unit explains labels that then lie within the recording and cover at least this share of it."""


@dataclass(frozen=True)
class ClockProblem:
    """Labels that cannot belong to the events of their recording.

    Attributes:
        labels: number of labels.
        before, after: how many lie before the first event, after the last one; 0 and 0 if they all lie within, but so
            close together that their unit must be another one.
        range_us: times of the first and last label.
        events_us: times of the first and last event.
        reason: what most likely is the matter, and what to do.
    """

    labels: int
    before: int
    after: int
    range_us: tuple[int, int]
    events_us: tuple[int, int]
    reason: str

    @property
    def wholly(self) -> bool:
        """No label can be used."""
        return self.before + self.after in (0, self.labels)

    @property
    def got(self) -> str:
        """The labels, in words."""
        first, last = self.range_us
        if not self.before + self.after:
            return f"{self.labels} labels from {first} to {last} µs, more than {_MOST_PER_SECOND} a second"
        counts = ((self.before, "before the first event"), (self.after, "after the last event"))
        where = " and ".join(f"{count} {words}" for count, words in counts if count)
        return f"{where}, of {self.labels} labels from {first} to {last} µs"


def compare_clocks(times_us: Times, first_us: int, last_us: int, margin_us: int) -> ClockProblem | None:
    """Compare label times with the span of the events.

    Args:
        times_us: int64 [N], of every label, in any order.
        first_us, last_us: times of the first and last event.
        margin_us: labels up to this far outside are no problem (a window's length).

    Returns:
        What is wrong, or None. Without labels nothing is.

    >>> compare_clocks(np.arange(2, 40) * 50_000, 0, 2_000_000, 50_000) is None
    True
    >>> compare_clocks(np.arange(2, 40) * 50, 0, 2_000_000, 50_000).reason
    'labels in ms, or events in ns: with label times × 1000 they fit; write both in microseconds'
    """
    if not len(times_us):
        return None
    before = int(np.count_nonzero(times_us < first_us - margin_us))
    after = int(np.count_nonzero(times_us > last_us + margin_us))
    events = (first_us, last_us)
    if not before and not after and (_rate(times_us) <= _MOST_PER_SECOND or _unit(times_us, events) is None):
        return None
    span = int(times_us.min()), int(times_us.max())
    return ClockProblem(len(times_us), before, after, span, events, _reason(times_us, events, margin_us))


def check_clocks(times_us: Times, first_us: int, last_us: int, margin_us: int, where: str) -> None:
    """Refuse labels that all lie outside the events, warn of some; see ``compare_clocks``.

    Args:
        times_us, first_us, last_us, margin_us: as there.
        where: the recording, for messages.

    Raises:
        UserError: no label lies within the recording, or the labels are of another unit.
    """
    problem = compare_clocks(times_us, first_us, last_us, margin_us)
    if problem is None:
        return
    expected = f"labels within the recording, which begins at {first_us} µs and ends at {last_us} µs"
    if problem.wholly:
        raise UserError(expected=expected, got=problem.got, where=where, fix=problem.reason)
    log.warning("%s: expected %s; got %s (%s)", where, expected, problem.got, problem.reason)


def _rate(times_us: npt.NDArray[np.number]) -> float:
    """Labelled times a second, 0 if there are too few to say."""
    times = np.unique(times_us)
    return 1e6 * (len(times) - 1) / float(times[-1] - times[0]) if len(times) > 2 else 0.0


def _unit(times_us: Times, events_us: tuple[int, int]) -> tuple[float, str] | None:
    """The unit that makes the labels fit, if they do not as they are."""
    first, last = events_us
    for factor, words in _UNITS:
        scaled = times_us.astype(np.float64) * factor
        covers = scaled.max() - scaled.min() >= _LEAST_SPAN * (last - first)
        if _fit(scaled, events_us) and covers and 0 < _rate(scaled) <= _MOST_PER_SECOND:
            return factor, words
    return None


def _reason(times_us: Times, events_us: tuple[int, int], margin_us: int) -> str:
    unit = _unit(times_us, events_us)
    if unit is not None:
        return f"{unit[1]}: with label times × {unit[0]:g} they fit; write both in microseconds"
    first, last = events_us
    start, end, length = int(times_us.min()), int(times_us.max()), last - first
    if end - start > 1.1 * length:
        return "labels last longer than the recording: check that boxes and events belong together"
    # Who counts from the start of the recording has small times; the other has the camera's clock, or the wall's.
    apart = first if start <= length else -start if first <= length else first - start
    if abs(apart) > margin_us and _fit(times_us + apart, (first - margin_us, last + margin_us)):
        whose = (
            "labels count from the start and events do not" if start <= length else "the two count from other moments"
        )
        verb = "add" if apart > 0 else "subtract"
        return f"{whose}: {verb} about {abs(apart) / 1e6:.3f} s {'to' if apart > 0 else 'from'} the labels' times"
    # Else the least that brings them inside, if it is more than a recording that ends a little early.
    apart = min(0, last - end) or max(0, first - start)
    if not _fit(times_us, events_us) and _fit(times_us + apart, events_us):
        order = "later" if apart < 0 else "earlier"
        return f"labels are {order} than events by about {abs(apart) / 1e6:.2f} s: check what the two count from"
    return "check that boxes and events belong together and count from the same moment"


def _fit(times: npt.NDArray[np.number], events_us: tuple[int, int]) -> bool:
    """Nearly all of the labels lie within the events."""
    return bool(np.mean((times >= events_us[0]) & (times <= events_us[1])) >= _MOST_FIT)
