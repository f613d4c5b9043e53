"""Plots that can be drawn twice: as SVG inside a page, and together on one PNG."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.pictures.charts import chart, draw_bars

Values = npt.NDArray[np.float64]
Series = Mapping[str, tuple[Values, Values]]
"""Curves by name: x and y, both [n], x ascending."""

MOST_POINTS = 600
"""Of a curve in a picture."""

_SIZE = (5.6, 3.5)
_MOST_IN_LEGEND = 12
_MANY = 10_000


@dataclass(frozen=True)
class Plot:
    """A titled picture.

    Attributes:
        title: what it shows.
        draw: draws it on an axis of matplotlib.
    """

    title: str
    draw: Callable[[Any], None]


def svg(plot: Plot) -> str:
    """The plot as an SVG element that fits inside a page, without its title."""
    buffer = io.BytesIO()
    with chart(buffer, _SIZE, kind="svg") as axes:
        plot.draw(axes[0, 0])
    text = buffer.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)  # as wide as the page lets it be
    # Names of markers and clips are those of the page: each picture has its own.
    mark = sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>p{mark}", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{_quoted(plot.title)}" ', 1)


def save_plots(path: Path | str, plots: Sequence[Plot], columns: int = 3, title: str = "") -> None:
    """Draw all plots on one PNG, row by row."""
    across = max(1, min(columns, len(plots)))
    down = max(1, math.ceil(len(plots) / across))
    with chart(path, (_SIZE[0] * across, _SIZE[1] * down), down, across, title=title) as axes:
        for axis in axes.flat[len(plots) :]:
            axis.set_axis_off()
        for axis, plot in zip(axes.flat, plots, strict=False):
            plot.draw(axis)
            axis.set_title(plot.title, fontsize=10)


def curves(
    title: str,
    series: Series,
    xlabel: str,
    ylabel: str,
    *,
    logarithmic: bool = False,
    unit_square: bool = False,
    marks: Sequence[tuple[float, float]] = (),
) -> Plot:
    """Lines over a common x; long ones are thinned out, peaks stay.

    Args:
        title: of the plot.
        series: what is drawn.
        xlabel: under the axis.
        ylabel: beside it.
        logarithmic: scale of y, if all that is drawn is positive.
        unit_square: both axes from 0 to 1.
        marks: points (x, y) to point out; what is to be said of them, the names of the curves say, which never overlap.
    """

    def draw(axis: Any) -> None:
        for name, (x, y) in series.items():
            if len(x) > MOST_POINTS and not unit_square:  # noise is paler than its mean
                (line,) = axis.plot(*means(x, y), linewidth=1.4, label=name)
                axis.plot(*thinned(x, y), linewidth=0.6, alpha=0.3, color=line.get_color(), zorder=1)
            else:
                few, values = thinned(x, y)
                axis.plot(few, values, "-" if len(few) > 1 else "o", linewidth=1.2, label=name, clip_on=len(few) != 1)
        if any(x.max(initial=0) >= _MANY for x, _ in series.values()):
            axis.xaxis.set_major_formatter(_short_number)
        for x, y in marks:
            axis.plot([x], [y], "k.", markersize=7)
        if logarithmic and all((y[np.isfinite(y)] > 0).all() for _, y in series.values()):
            axis.set_yscale("log")
        elif not unit_square:
            _begin_at_zero(axis.set_ylim, [y for _, y in series.values()])
        if not unit_square:
            _begin_at_zero(axis.set_xlim, [x for x, _ in series.values()])
        axis.set(xlabel=xlabel, ylabel=ylabel, **({"xlim": (0, 1), "ylim": (0, 1.02)} if unit_square else {}))
        if 1 < len(series) <= _MOST_IN_LEGEND or (len(series) == 1 and next(iter(series))):
            axis.legend()

    return Plot(title, draw)


def _begin_at_zero(limit: Callable[..., object], values: Sequence[Values]) -> None:
    """Let an axis begin at 0, if nothing lies below; it has some length even where nothing lies above."""
    known = [each[np.isfinite(each)] for each in values]
    if any(each.min(initial=0) < 0 for each in known):
        return
    top = max((float(each.max(initial=0)) for each in known), default=0.0)
    limit(0, 1.05 * top or 1.0)


def bars(title: str, names: Sequence[str], heights: Mapping[str, Sequence[float]], ylabel: str) -> Plot:
    """Bars of several series side by side."""

    def draw(axis: Any) -> None:
        form = "%.0f" if all(isinstance(value, int) for own in heights.values() for value in own) else "%.1f"
        draw_bars(axis, names, heights, form if len(names) * len(heights) <= 16 else None)
        axis.set_ylabel(ylabel)
        if len(heights) > 1:
            axis.legend()

    return Plot(title, draw)


def steps(title: str, edges: Values, counts: Mapping[str, Values], xlabel: str, *, logarithmic: bool = False) -> Plot:
    """Histograms over common edges [n + 1], counts [n] each."""

    def draw(axis: Any) -> None:
        for name, count in counts.items():
            axis.stairs(count, edges, fill=True, alpha=0.45, label=name)
        if logarithmic and any(count.max(initial=0) > 0 for count in counts.values()):
            axis.set_yscale("log")
            axis.set_ylim(bottom=0.7)  # one box is seen
        axis.set(xlabel=xlabel, ylabel="boxes")
        axis.legend()

    return Plot(title, draw)


def matrix(title: str, rows: Sequence[str], columns: Sequence[str], counts: Values, labels: tuple[str, str]) -> Plot:
    """Counts [rows, columns], coloured by their share of the row; ``labels`` name rows and columns."""

    def draw(axis: Any) -> None:
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        edges = [np.arange(count + 1) - 0.5 for count in counts.shape]
        axis.pcolormesh(edges[1], edges[0], share, vmin=0, vmax=1, cmap="Blues")
        axis.invert_yaxis()
        for row, column in np.ndindex(*counts.shape) if counts.size <= 144 else ():
            ink = "white" if share[row, column] > 0.5 else "black"
            text = f"{int(counts[row, column])}\n{100 * share[row, column]:.0f} %"
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color=ink)
        axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
        axis.set_yticks(range(len(rows)), rows)
        axis.set(ylabel=labels[0], xlabel=labels[1])
        axis.grid(visible=False)

    return Plot(title, draw)


def thinned(x: Values, y: Values, most: int = MOST_POINTS) -> tuple[Values, Values]:
    """A curve with at most ``most`` points: the smallest and the largest of every stretch, so that peaks stay.

    >>> x = np.arange(1000.0)
    >>> few = thinned(x, np.where(x == 500, 9.0, 0.0), 10)
    >>> len(few[0]) <= 10, few[1].max()
    (True, np.float64(9.0))
    """
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) <= most:
        return x, y
    bounds = np.linspace(0, len(x), most // 2 + 1).astype(np.int64)
    pairs = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    parts = [(start + int(y[start:stop].argmin()), start + int(y[start:stop].argmax())) for start, stop in pairs]
    kept = np.unique(np.array(parts))
    return x[kept], y[kept]


def means(x: Values, y: Values, most: int = MOST_POINTS // 4) -> tuple[Values, Values]:
    """A curve as the means of at most ``most`` stretches of it.

    >>> [each.tolist() for each in means(np.arange(4.0), np.array([1.0, 3.0, np.nan, 5.0]), 2)]
    [[0.5, 3.0], [2.0, 5.0]]
    """
    known = np.isfinite(x) & np.isfinite(y)
    at = np.arange(len(x)) * most // max(len(x), 1)
    at, x, y = at[known], x[known], y[known]
    count = np.bincount(at, minlength=1)
    sums = [np.bincount(at, weights=values, minlength=1)[count > 0] for values in (x, y)]
    return sums[0] / count[count > 0], sums[1] / count[count > 0]


def _short_number(value: float, _: int) -> str:
    return f"{value / 1000:g}k"


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
