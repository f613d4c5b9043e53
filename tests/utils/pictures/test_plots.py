"""Plots: SVG that stands alone in a page, PNG of the same, curves thinned out without losing peaks."""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from utils.pictures import plots

X = np.arange(50_000.0)


def every_plot():
    counts = np.array([3.0, 0.0, 7.0])
    return [
        plots.curves("loss & parts", {"a": (X, 1 / (1 + X)), "<b>": (X[:1], X[:1])}, "step", "loss", logarithmic=True),
        plots.curves("F1", {"": (X / X[-1], X / X[-1])}, "t", "F1", unit_square=True, marks=[(0.5, 0.5)]),
        plots.curves("nothing", {}, "step", "loss"),
        plots.bars("AP", ["car", "bus"], {"AP": [1, 2], "AP_50": [3, 4]}, "per cent"),
        plots.steps("scores", np.linspace(0, 1, 4), {"right": counts, "wrong": 0 * counts}, "score", logarithmic=True),
        plots.matrix("confusion", ["a", "b"], ["a", "b"], np.array([[1.0, 2], [0, 0]]), ("label", "found")),
    ]


@pytest.mark.parametrize("plot", every_plot(), ids=lambda plot: plot.title)
def test_svg_is_small_and_stands_alone(plot):
    text = plots.svg(plot)
    assert len(text) < 120_000
    root = ET.fromstring(text)
    assert root.get("aria-label") == plot.title
    assert root.get("width") is None
    assert root.get("viewBox")
    names = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(names) == len(set(names))
    links = [value.removeprefix("#") for each in root.iter() for key, value in each.items() if key.endswith("href")]
    assert set(links) <= set(names)
    assert "metadata" not in text
    assert plots.svg(plot) == text


def test_two_plots_of_a_page_share_no_name():
    first, second = (ET.fromstring(plots.svg(plot)) for plot in every_plot()[:2])
    names = [{each.get("id") for each in root.iter()} - {None} for root in (first, second)]
    assert names[0]
    assert not names[0] & names[1]


class Limits:
    """Stands for an axis of matplotlib that is asked for its limits alone."""

    def __init__(self):
        self.calls = {}

    def __getattr__(self, name):
        return lambda *values, **_: self.calls.__setitem__(name, values)


@pytest.mark.parametrize(
    ("y", "limits"), [([0.0], (0, 1.0)), ([0.5, 2.0, np.nan], (0, 2.1)), ([-1.0, 2.0], None), ([np.nan], (0, 1.0))]
)
def test_axes_begin_at_zero_unless_something_lies_below(y, limits):
    axis = Limits()
    plots._begin_at_zero(axis.set_ylim, [np.array(y)])
    assert axis.calls.get("set_ylim") == (None if limits is None else pytest.approx(limits))


def test_all_plots_are_on_one_picture(tmp_path):
    plots.save_plots(tmp_path / "results.png", every_plot()[:4], columns=3, title="all")
    with Image.open(tmp_path / "results.png") as picture:
        assert picture.size == (1680, 700)


def test_a_curve_without_a_number_leaves_the_others_their_room(tmp_path):
    """A line without points that may leave its axis has an endless box, for which the layout gives up."""
    none, some = (np.array([9.0]), np.array([np.nan])), (np.array([9.0]), np.array([1.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.save_plots(tmp_path / "plots.png", [plots.curves("a", {"b": some, "c": none}, "x", "y")] * 3)


def test_thinned_curves_keep_ends_of_range_and_leave_out_what_is_no_number():
    y = np.sin(X / 1000)
    y[777], y[30_000], y[5] = 50, -40, np.nan
    x, few = plots.thinned(X, y)
    assert len(x) <= plots.MOST_POINTS
    assert (few.max(), few.min()) == (50, -40)
    assert np.all(np.diff(x) > 0)
    assert np.isfinite(few).all()
