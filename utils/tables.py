"""Tables in Markdown, and figures in their cells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from statistics import mean, stdev


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[int] = ()) -> list[str]:
    """Lines of a table.

    Args:
        heads: of the columns.
        rows: a cell for each column.
        right: columns that are aligned to the right.

    >>> table(["a", "b"], [["x", 1]], right=[1])
    ['| a | b |', '|---|---:|', '| x | 1 |']
    """
    rule = "|".join("---:" if column in right else "---" for column in range(len(heads)))
    return [_line(heads), f"|{rule}|", *(_line(row) for row in rows)]


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and sample standard deviation in per cent, from values as shares.

    >>> spread([0.1, 0.2]), spread([0.125])
    ('15.0 ± 7.1', '12.5')
    """
    scaled = [100 * value for value in values]
    middle = f"{mean(scaled):.{digits}f}"
    return f"{middle} ± {stdev(scaled):.{digits}f}" if len(scaled) > 1 else middle
