"""What the soak test of labelling found, as tables and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from utils.atomic import atomic_path


class Kill(NamedTuple):
    """One kill.

    Attributes:
        after_s: seconds since the start of the command.
        finished: sequences that are written then.
        waiting: sequences of which one direction of time is laid aside.
    """

    after_s: float
    finished: int
    waiting: int


def kill_table(kills: Sequence[Kill], files: int, different: Sequence[str]) -> str:
    """The kills and what came of them, as Markdown."""
    lines = ["| kill | seconds after start | sequences finished | half done |", "|---|---|---|---|"]
    lines += [f"| {number} | {k.after_s:.2f} | {k.finished} | {k.waiting} |" for number, k in enumerate(kills, 1)]
    verdict = f"NO: {', '.join(different[:5])}" if different else "yes"
    return "\n".join([*lines, "", f"{len(kills)} SIGKILLs. All {files} files as of the undisturbed run? {verdict}", ""])


def memory_table(peaks: dict[int, float]) -> str:
    """Peak memory by the number of sequences, as Markdown."""
    lines = ["| sequences | peak memory, MiB |", "|---|---|"]
    return "\n".join([*lines, *(f"| {count} | {peak:.0f} |" for count, peak in peaks.items()), ""])


def save_picture(peaks: dict[int, float], path: Path) -> None:
    """Draw peak memory against the number of sequences, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(list(peaks), list(peaks.values()), "o-")
    axis.set(xlabel="sequences", ylabel="peak memory of predict.py, MiB", ylim=(0, 1.2 * max(peaks.values())))
    axis.grid(alpha=0.3)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
