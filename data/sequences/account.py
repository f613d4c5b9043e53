"""What became of every box that was read: kept, or dropped for a reason that has a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.sequences.record import SequenceCounts

UNUSABLE = "without numbers or size"
OTHER_CLASS = "other class"
OUTSIDE = "outside"
SMALL = "small"
WIDE = "wide"
DUPLICATE = "twice in a frame"
BEFORE_EVENTS = "before the first event"
AFTER_EVENTS = "after the last event"
EARLY = "before align_t_ms"
OFF_GRID = "off the time grid"
NO_FRAME = "no frame"
UNKNOWN = "reason not recorded"

UNMEANT = (UNUSABLE, BEFORE_EVENTS, AFTER_EVENTS, NO_FRAME)
"""Reasons that no setting asks for."""

WARN_SHARE = 0.02
"""From this share of dropped boxes on there is a warning ..."""
_WORST = 3
"""... that names this many recordings."""


@dataclass
class BoxAccount:
    """Boxes of some recordings.

    Attributes:
        read: boxes in the files.
        kept: boxes in the dataset.
        dropped: the others by reason.
    """

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def add(self, read: int, kept: int, dropped: Mapping[str, int]) -> None:
        """Add a recording; what its reasons leave open is counted as such."""
        self.read += read
        self.kept += kept
        for reason, count in {**dropped, UNKNOWN: read - kept - sum(dropped.values())}.items():
            if count > 0:
                self.dropped[reason] = self.dropped.get(reason, 0) + count

    def share(self, reasons: Sequence[str] | None = None) -> float:
        """Share of the boxes read that were dropped, for these reasons or for any."""
        dropped = self.read - self.kept if reasons is None else sum(self.dropped.get(reason, 0) for reason in reasons)
        return dropped / self.read if self.read else 0.0

    def words(self) -> str:
        """Reasons with their counts, the most frequent first."""
        ranked = sorted(self.dropped.items(), key=lambda item: -item[1])
        return ", ".join(f"{count} {reason}" for reason, count in ranked) or "none"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"read": self.read, "kept": self.kept, "dropped": self.dropped}


def account_of(rows: Sequence[SequenceCounts]) -> BoxAccount:
    """The account of some recordings, those that were left out among them."""
    account = BoxAccount()
    for row in rows:
        account.add(row.raw_boxes, row.boxes, row.dropped)
    return account


def account_rows(accounts: Mapping[str, BoxAccount]) -> list[list[str]]:
    """The table as cells: a row for each figure, a column for each split."""
    every = list(accounts.values())
    reasons = list(dict.fromkeys(reason for account in every for reason in account.dropped))
    rows = [["boxes read", *(f"{account.read}" for account in every)]]
    rows += [["  kept", *(f"{account.kept}" for account in every)]]
    rows += [[f"  {reason}", *(f"{account.dropped.get(reason, 0)}" for account in every)] for reason in reasons]
    return [*rows, ["  dropped, per cent", *(f"{100 * account.share():.1f}" for account in every)]]


def account_table(accounts: Mapping[str, BoxAccount]) -> list[str]:
    """The table as lines of text; none without a split."""
    if not accounts:
        return []
    rows = [["", *accounts], *account_rows(accounts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    ]


def loss_warning(split: str, rows: Sequence[SequenceCounts], align_t_ms: float) -> str | None:
    """What to warn of if more than ``WARN_SHARE`` of a split's boxes were dropped: why, and where most.

    Args:
        split: of the recordings.
        rows: their counts.
        align_t_ms: the setting that drops early labels.
    """
    account = account_of(rows)
    if account.share() <= WARN_SHARE:
        return None
    worst = sorted(rows, key=lambda row: (row.boxes - row.raw_boxes, row.name))[:_WORST]
    names = ", ".join(f"{row.name} ({row.raw_boxes - row.boxes} of {row.raw_boxes})" for row in worst)
    early = f"; dataset.preprocessing.align_t_ms={align_t_ms:g} leaves out labels before that time, 0 keeps them"
    return (
        f"{split}: {100 * account.share():.1f} % of {account.read} boxes were dropped: {account.words()}; "
        f"most in {names}" + early * (EARLY in account.dropped)
    )
