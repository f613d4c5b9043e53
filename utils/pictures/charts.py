"""Charts: one look for all of them, and files that appear whole with the same bytes for the same data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

from utils.atomic import atomic_path

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Of series, in order: after Okabe and Ito, told apart by colour-blind readers and in print."""

_LOOK: dict[Any, Any] = {
    "axes.axisbelow": True, "axes.grid": True, "axes.spines.right": False, "axes.spines.top": False,
    "figure.facecolor": "white", "font.size": 10, "grid.alpha": 0.3, "legend.fontsize": 8, "legend.framealpha": 0.8,
    "svg.fonttype": "none", "svg.hashsalt": "chart",
}  # fmt: skip


@contextmanager
def chart(
    target: Path | str | IO[bytes],
    size: tuple[float, float],
    rows: int = 1,
    columns: int = 1,
    share_y: Literal["none", "row"] = "none",
    title: str = "",
    kind: Literal["png", "svg"] = "png",
) -> Iterator[Any]:
    """Yield the axes of a new figure, an array [rows, columns]; once they are drawn on, the figure is saved.

    Args:
        target: a path, or an open file.
        size: width and height in hundreds of pixels.
        rows: of axes.
        columns: of axes.
        share_y: whether the axes of a row have one scale.
        title: above all axes.
        kind: of the picture.
    """
    import matplotlib as mpl  # slow to import, and only needed where something is drawn
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.rcsetup import cycler

    with mpl.rc_context():
        mpl.rcdefaults()  # nobody's own settings
        mpl.rcParams.update({**_LOOK, "axes.prop_cycle": cycler(color=COLOURS)})
        figure = Figure(figsize=size, dpi=100, layout="constrained")
        if title:
            figure.suptitle(title, fontsize=11)
        yield figure.subplots(rows, columns, squeeze=False, sharey=share_y)
        # no version and no date, so that the bytes tell the data alone
        if kind == "png":
            save = partial(FigureCanvasAgg(figure).print_png, metadata={"Software": None})
        else:
            save = partial(FigureCanvasSVG(figure).print_svg, metadata={"Date": None, "Creator": None})
        if isinstance(target, Path | str):
            with atomic_path(target) as temporary:
                save(str(temporary))
        else:
            save(target)


def draw_bars(
    axis: Any, names: Sequence[str], heights: Mapping[str, Sequence[float]], values: str | None = None
) -> None:
    """Bars of several series side by side.

    Args:
        axis: drawn on.
        names: under the groups of bars, see ``name_bars``.
        heights: one for each name, by series.
        values: format of the heights above the bars, e.g. ``%.1f``; None writes none.
    """
    width = 0.8 / max(len(heights), 1)
    for index, (series, own) in enumerate(heights.items()):
        left = width * (index - (len(heights) - 1) / 2)
        bars = axis.bar([place + left for place in range(len(names))], own, 0.9 * width, label=series)
        if values is not None:
            axis.bar_label(bars, fmt=values, fontsize=7)
    name_bars(axis, names)


def name_bars(axis: Any, names: Sequence[str]) -> None:
    """Write names under bars at 0, 1, 2, ..., slanted so that long ones fit; the grid is horizontal alone."""
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.grid(visible=False, axis="x")
