"""A dataset report as a picture (PNG) or as one page with the picture in it (HTML)."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.inspection.dataset import LOST_BOXES, DatasetReport
from data.inspection.summary import MAX_BOXES, SIZE_EDGES, STEP_US
from data.inspection.text import report_text
from utils.atomic import atomic_path, write_text
from utils.errors import UserError
from utils.pictures.charts import chart, draw_bars

SUFFIXES = (".png", ".html")
_SIZES = np.concatenate(([0.5], SIZE_EDGES, [2 * SIZE_EDGES[-1]]))


def check_suffix(path: Path) -> None:
    """Complain about a name that says neither PNG nor HTML, before the work starts.

    Raises:
        UserError: another suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(
            expected="a file that ends in .png or .html", got=path.name, where="save_picture", fix="call it so"
        )


def save_picture(report: DatasetReport, path: Path) -> None:
    """Write the picture, or the page with table, picture and findings; the file appears whole."""
    check_suffix(path)
    if path.suffix.lower() == ".png":
        with atomic_path(path) as temporary:
            temporary.write_bytes(draw(report))
        return
    picture = base64.b64encode(draw(report)).decode()
    title = html.escape(str(report.expected.path))
    write_text(
        path,
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        "<style>body{font:15px sans-serif;max-width:1200px;margin:2em auto}pre{overflow:auto}img{width:100%}</style>\n"
        f"<h1>{title}</h1>\n<img alt='histograms' src='data:image/png;base64,{picture}'>\n"
        f"<pre>{html.escape(report_text(report))}</pre></html>\n",
    )


def draw(report: DatasetReport) -> bytes:
    """Six panels as PNG: classes, sizes, boxes in a frame, label distances, where boxes are, how much there is."""
    buffer, title = io.BytesIO(), f"{report.expected.path}   {report.expected.ev_repr_name}"
    with chart(buffer, (14, 7.5), rows=2, columns=3, title=title) as panels:
        _classes(panels[0, 0], report)
        _steps(panels[0, 1], report, "sizes", "box size: square root of the area, pixels", _SIZES)
        panels[0, 1].set_xscale("log", base=2)
        panels[0, 1].xaxis.set_major_formatter("{x:g}")
        _steps(panels[0, 2], report, "boxes_per_label", "boxes in a labelled frame", np.arange(MAX_BOXES + 2) - 0.5)
        _label_steps(panels[1, 0], report)
        _centres(panels[1, 1], report)
        _amounts(panels[1, 2], report)
    return buffer.getvalue()


def _classes(axis: Any, report: DatasetReport) -> None:
    classes = report.expected.classes
    counts = {name: split.class_counts(classes) for name, split in report.splits.items()}
    names = list(dict.fromkeys(key for row in counts.values() for key in row))
    draw_bars(axis, names, {split: [row.get(name, 0) for name in names] for split, row in counts.items()}, "%d")
    axis.set_title("boxes by class")
    if counts:
        axis.legend()


def _steps(axis: Any, report: DatasetReport, attribute: str, title: str, edges: npt.NDArray[Any]) -> None:
    """Histograms of the splits as shares, so that small splits are seen beside large ones; only bins in use."""
    histograms = {name: getattr(split, attribute) for name, split in report.splits.items()}
    used = np.flatnonzero(sum(histograms.values(), np.zeros(len(edges) - 1, dtype=np.int64)))
    first, last = (max(used[0] - 1, 0), min(used[-1] + 2, len(edges) - 1)) if len(used) else (0, 1)
    for name, counts in histograms.items():
        share = 100 * counts[first:last] / max(counts.sum(), 1)
        axis.stairs(share, edges[first : last + 1], label=name, linewidth=1.6)
    axis.set_title(title)
    axis.set_ylabel("per cent")


def _label_steps(axis: Any, report: DatasetReport) -> None:
    for name, split in report.splits.items():
        used = np.flatnonzero(split.label_steps)
        share = 100 * split.label_steps[used] / max(split.label_steps.sum(), 1)
        axis.vlines(
            used * STEP_US / 1000, 0, share, linewidth=2, color=f"C{list(report.splits).index(name)}", alpha=0.7
        )
    axis.set(title="from one labelled frame to the next, ms", ylabel="per cent", ylim=(0, None))


def _centres(axis: Any, report: DatasetReport) -> None:
    total = sum((split.centres for split in report.splits.values()), np.zeros((1, 1), dtype=np.int64))
    height, width = report.expected.sensor_hw or (1, 1)
    axis.grid(visible=False)
    axis.imshow(total, extent=(0, width, height, 0), cmap="magma", aspect="equal")
    axis.set_title("centres of boxes")


def _amounts(axis: Any, report: DatasetReport) -> None:
    axis.axis("off")
    lines = report_text(report).split("\n\n")[1].splitlines()
    axis.text(0, 1, "\n".join(lines), family="monospace", fontsize=8, va="top", transform=axis.transAxes)
    wrong, lost = report.findings.num_wrong, LOST_BOXES in report.findings.counts
    text, color = ("nothing is wrong", "tab:green") if not lost else ("boxes were dropped, see the list", "tab:orange")
    if wrong:
        text, color = f"wrong: {wrong}, see the list", "tab:red"
    axis.text(0, 0.02, text, color=color, transform=axis.transAxes)
