"""A dataset report as text: a table of the splits, histograms made of characters, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from data.inspection.dataset import DatasetReport
from data.inspection.summary import SIZE_EDGES, SplitSummary
from data.sequences.account import account_rows

_LEVELS = " ▁▂▃▄▅▆▇█"


def bars(counts: npt.NDArray[np.int64]) -> str:
    """A histogram in one line, a character a bin; whatever is not empty is seen.

    >>> bars(np.array([0, 1, 50, 100]))
    ' ▁▄█'
    """
    top = max(int(counts.max(initial=0)), 1)
    levels = np.ceil(counts / top * (len(_LEVELS) - 1)).astype(int)
    return "".join(_LEVELS[level] for level in levels)


def report_text(report: DatasetReport) -> str:
    """Everything a person wants to know first."""
    e = report.expected
    size = "unknown size" if e.sensor_hw is None else f"{e.sensor_hw[1]} x {e.sensor_hw[0]} pixels"
    half = ", frames at half resolution" if e.downsampled else ""
    lines = [f"{e.path}: {e.ev_repr_name}, {size}{half}", ""]
    lines += _table(_rows(report))
    lines += [
        "",
        f"box sizes (square root of the area), pixels: {SIZE_EDGES[0]:g} to {SIZE_EDGES[-1]:.0f}, four bars double it",
    ]
    lines += [f"  {name:6} |{bars(split.sizes)}|" for name, split in report.splits.items()]
    lines += ["boxes in a labelled frame, from 0 on"]
    lines += [f"  {name:6} |{bars(_trim(split.boxes_per_label))}|" for name, split in report.splits.items()]
    lines += [""]
    lines += report.findings.lines() or ["nothing is wrong"]
    return "\n".join(lines)


def _trim(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    last = np.flatnonzero(counts)
    return counts[: last[-1] + 1] if len(last) else counts[:1]


def _rows(report: DatasetReport) -> list[list[str]]:
    """The table: a row for each figure, a column for each split."""
    classes, splits = report.expected.classes, report.splits
    names = list(dict.fromkeys(name for split in splits.values() for name in split.class_counts(classes)))
    rows = [["", *splits]]

    def row(title: str, cells: Sequence[str]) -> None:
        if any(cell not in ("", "0") for cell in cells):
            rows.append([title, *cells])

    every: list[SplitSummary] = list(splits.values())
    row("sequences", [f"{s.sequences}" for s in every])
    row("hours", [f"{s.duration_us / 3.6e9:.3f}" for s in every])
    row("shortest to longest, s", [f"{s.shortest_us / 1e6:.1f} - {s.longest_us / 1e6:.1f}" for s in every])
    row("frames", [f"{s.frames}" for s in every])
    row("ms from frame to frame", [f"{s.frame_step_ms:g}" for s in every])
    row("million events (~ from frames)", [_events(s) for s in every])
    row("labelled frames", [f"{s.labelled_frames}" for s in every])
    row("label rate, Hz", [f"{s.label_rate_hz:.3g}" for s in every])
    row("boxes", [f"{s.boxes}" for s in every])
    for name in names:
        row(f"  {name}", [f"{s.class_counts(classes).get(name, 0)}" for s in every])
    row("  ignored", [f"{s.ignored}" for s in every])
    row("  of them pseudo labels", [f"{s.pseudo}" for s in every])
    if any(s.account.read for s in every):
        rows += account_rows({name: split.account for name, split in splits.items()})
    return rows


def _events(split: SplitSummary) -> str:
    if not split.events:
        return ""
    return f"{'' if split.events_known == split.sequences else '~'}{split.events / 1e6:.2f}"


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
