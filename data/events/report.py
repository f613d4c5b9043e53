"""What reading a recording came upon: counts of everything that was repaired or left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecordingReport:
    """Counts from one pass over all events of a recording; all 0 for a sound one.

    Attributes:
        times_back: events whose time lay before that of an earlier event; they were given the latest time so far.
        largest_step_back_us: the farthest that one of them was moved, microseconds.
        astray: single events whose time lay far ahead of those before and behind them; they were left out.
        farthest_astray_us: the farthest that one of them lay, microseconds.
        outside: events beyond the stated sensor; they were left out.
        undated: events before the first time or row word of an EVT stream; they were left out.
        unknown_words: words of an EVT stream of a type that the format does not define; they were passed over.
        cut_bytes: bytes of an unfinished word or line at the end of the file; they were passed over.
        wraps: how often the clock of the file ran over and began anew; times go on (nothing is wrong with that).
        one_sided: all events, if they are all ON or all OFF and not just a few.
        bad_offset: byte at which the first unknown word lies, -1 without one.
    """

    times_back: int = 0
    largest_step_back_us: int = 0
    astray: int = 0
    farthest_astray_us: int = 0
    outside: int = 0
    undated: int = 0
    unknown_words: int = 0
    cut_bytes: int = 0
    wraps: int = 0
    one_sided: int = 0
    bad_offset: int = -1

    @property
    def sound(self) -> bool:
        """Nothing was repaired and nothing left out."""
        return not self.warnings()

    def warnings(self) -> list[str]:
        """One line for each kind of trouble, with its count.

        >>> RecordingReport(outside=2, cut_bytes=3).warnings()
        ['2 events outside the sensor: left out', 'the file ends in the middle of an event: 3 bytes passed over']
        """
        lines = [
            (
                self.times_back,
                f"{_events(self.times_back)} earlier than one before (by up to "
                f"{self.largest_step_back_us} µs): moved to the latest time so far",
            ),
            (
                self.astray,
                f"{_events(self.astray)} alone up to {self.farthest_astray_us / 1e6:.0f} s ahead of the others around: "
                "left out",
            ),
            (self.outside, f"{_events(self.outside)} outside the sensor: left out"),
            (self.undated, f"{_events(self.undated)} before the first time or row word: left out"),
            (
                self.unknown_words,
                f"{self.unknown_words} words of unknown type, the first at byte {self.bad_offset}: passed over",
            ),
            (self.cut_bytes, f"the file ends in the middle of an event: {self.cut_bytes} bytes passed over"),
            (self.one_sided, f"all {self.one_sided} events have one polarity"),
        ]
        return [text for count, text in lines if count]


_LONG_US = 60_000_000
_SLOW = {
    False: (10.0, "ns, not µs"),
    True: (1000.0, "ms, not seconds: write whole µs, or in text name the column t_ms"),
}
"""By whether a time has fractions: from how few events a second on its unit must be another one, and which."""


def slow_words(num_events: int, duration_us: int, fractions: bool) -> str | None:
    """What to warn of if a long recording has so few events that its times must have another unit.

    Args:
        num_events: how many there are.
        duration_us: from the first to the last.
        fractions: times with fractions were taken as seconds.

    >>> slow_words(600, 1_999_000_000, fractions=False)
    '0.3 events a second over 1999 s: times are most likely in ns, not µs'
    >>> slow_words(200_000, 2_000_000, fractions=False) is None
    True
    """
    least, unit = _SLOW[fractions]
    rate = 1e6 * num_events / max(1, duration_us)
    if duration_us < _LONG_US or rate >= least:
        return None
    return f"{rate:.3g} events a second over {duration_us / 1e6:.0f} s: times are most likely in {unit}"


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"
