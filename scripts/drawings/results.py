"""Draw the charts of docs/RESULTS.md from its own tables: ``python scripts/drawings/results.py --help``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from utils.commands.cli import run_command
from utils.errors import UserError
from utils.pictures.charts import chart, draw_bars

PAGE = REPOSITORY / "docs" / "RESULTS.md"
IMAGES = REPOSITORY / "docs" / "images"

Row = Mapping[str, str]
"""A row of a table by the heads of its columns."""

_MARKERS = ("o", "s")


def tables_below(text: str, heading: str) -> list[list[Row]]:
    """Tables of a page between a heading and the next one, whatever its level.

    Raises:
        UserError: no such heading, or no table below it.
    """
    parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)
    below = dict(zip(parts[1::2], parts[2::2], strict=True)).get(heading, "")
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", below, flags=re.MULTILINE):
        heads, _, *rows = [[cell.strip(" `") for cell in line[1:-1].split("|")] for line in block.splitlines()]
        found.append([dict(zip(heads, row, strict=True)) for row in rows])
    if not found:
        raise UserError(
            expected=f"a table below the heading {heading!r}",
            got="none",
            where=str(PAGE),
            fix="give the heading its old name, or change the chart with it",
        )
    return found


def figure_of(cell: str) -> tuple[float, float]:
    """Mean and spread of a cell, 0 where it has none.

    >>> figure_of("14.3 ± 0.1"), figure_of("62")
    ((14.3, 0.1), (62.0, 0.0))
    """
    middle, _, spread = cell.partition(" ± ")
    return float(middle), float(spread or 0)


def draw_dots(axis: Any, rows: Sequence[Row], name: str, columns: Sequence[str]) -> None:
    """A line of dots for each row, from above: one for each column, with its spread.

    Args:
        axis: drawn on.
        rows: of the table; the one that is called control, by ``arm``, has dashed lines at its figures.
        name: column that names them.
        columns: which are drawn, one or two.
    """
    control = [row["arm"] for row in rows].index("control")
    for series, column in enumerate(columns):
        told = [(place, *figure_of(row[column])) for place, row in enumerate(rows)]
        places, means, spreads = zip(*told, strict=True)
        shifted = [place + 0.24 * (series - (len(columns) - 1) / 2) for place in places]
        colour = f"C{series}"
        axis.errorbar(
            means, shifted, xerr=spreads, fmt=_MARKERS[series], color=colour, markersize=6, capsize=2, label=column
        )
        above = 4 if series == 0 else -11
        for place, mean in zip(shifted, means, strict=True):
            axis.annotate(f"{mean:.1f}", (mean, place), (0, above), textcoords="offset points", fontsize=7, ha="center")
        axis.axvline(means[control], color=colour, linestyle="--", linewidth=1, zorder=1)
    axis.set_yticks(range(len(rows)), [row[name].replace("`", "") for row in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.set(xlabel="per cent")
    axis.legend(loc="upper right")


def gap(text: str, path: Path) -> None:
    """What self-training closes of the gap between few labels and all of them."""
    kinds = ("Four labelled recordings", "One labelled frame of each recording", "Another world")
    with chart(path, (15, 4.2), columns=3, kind="svg") as axes:
        for axis, kind in zip(axes[0], kinds, strict=True):
            draw_dots(axis, tables_below(text, kind)[0], "trained on", ("AP test", "product_AP test"))
            axis.set(title=kind)


def shares(text: str, path: Path) -> None:
    """Where labels are what is missing, and where steps are."""
    rows = tables_below(text, "LEOD's ingredients")[0]
    names, *columns = list(rows[0])
    with chart(path, (7.5, 3.6), kind="svg") as axes:
        axis = axes[0, 0]
        labelled = [f"{row[names].split()[0]} of 120 labelled" for row in rows]
        draw_bars(axis, labelled, {column: [float(row[column]) for row in rows] for column in columns}, "%.1f")
        (everything,) = re.findall(r"all labels: ([\d.]+)\)", text)
        axis.axhline(float(everything), color="k", linestyle="--", linewidth=1, label="all labels")
        axis.set(ylabel="product_AP on val, per cent", ylim=(0, 38))
        axis.legend(loc="upper right", ncols=2)


def ingredients(text: str, path: Path) -> None:
    """LEOD's ingredients one after the other, both kinds of few labels."""
    kinds = {
        "4 of 120 recordings labelled, test": "Few labelled recordings (semi, 0.03), test",
        "1 frame of each recording labelled, test": "Few labelled frames (weak, 0.01), test",
    }
    with chart(path, (13, 6), columns=2, kind="svg") as axes:
        for axis, (title, heading) in zip(axes[0], kinds.items(), strict=True):
            draw_dots(axis, tables_below(text, heading)[0], "trained on", ("AP", "product_AP"))
            axis.set(title=title)


def labels(text: str, path: Path) -> None:
    """Precision and recall of pseudo labels, step by step of their making."""
    found = {
        "4 recordings labelled": tables_below(text, "Few labelled recordings (semi, 0.03), val")[1],
        "1 frame of each": tables_below(text, "Few labelled frames (weak, 0.01: one frame of each recording), val")[1],
        "4 other recordings": tables_below(text, "Four labelled recordings")[1],
    }
    with chart(path, (7.5, 5), kind="svg") as axes:
        axis = axes[0, 0]
        for series, (name, every) in enumerate(found.items()):
            rows = [row for row in every if "unsure" not in row["labels"]]
            (x, dx), (y, dy) = (
                zip(*(figure_of(row[column]) for row in rows), strict=True) for column in ("recall", "precision")
            )
            axis.errorbar(x, y, xerr=dx, yerr=dy, fmt="o", color=f"C{series}", elinewidth=0.6, label=name)
            for first, second in pairwise(zip(x, y, strict=True)):
                axis.annotate("", second, first, arrowprops={"arrowstyle": "->", "color": f"C{series}", "alpha": 0.5})
            for row, place in zip(rows, zip(x, y, strict=True), strict=True):
                axis.annotate(row["labels"], place, (5, 5), textcoords="offset points", fontsize=8)
        axis.set(xlabel="recall, per cent", ylabel="precision, per cent", xlim=(28, 70), ylim=(48, 82))
        axis.legend(loc="upper right")


def tried(text: str, path: Path) -> None:
    """What was tried on the way, against training on without pseudo labels."""
    rows = tables_below(text, "What was tried")[0]
    with chart(path, (8.6, 6), kind="svg") as axes:
        draw_dots(axes[0, 0], rows, "arm", ("AP", "product_AP"))


CHARTS: dict[str, Callable[[str, Path], None]] = {
    "results_gap.svg": gap,
    "results_shares.svg": shares,
    "results_ingredients.svg": ingredients,
    "results_labels.svg": labels,
    "results_tried.svg": tried,
}
"""What draws each file, from the text of the page."""


def main() -> None:
    """Draw all charts."""
    parser = argparse.ArgumentParser(prog="results.py", description=__doc__)
    parser.add_argument("--folder", type=Path, default=IMAGES, help="of the pictures, by default docs/images")
    args = parser.parse_args()

    def run() -> None:
        text = PAGE.read_text(encoding="utf-8")
        for name, draw in CHARTS.items():
            draw(text, args.folder / name)
            print(args.folder / name)

    run_command(run)


if __name__ == "__main__":
    main()
