"""Draw what each rule of ``label_times`` keeps: ``python scripts/drawings/label_times.py PICTURE.svg``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt

from data.preprocessing.config import PreprocessConfig
from data.preprocessing.sequence import join_frames, plan_sequence
from data.preprocessing.timing import WindowPlan
from utils.atomic import write_text
from utils.boxes import BBOX_DTYPE
from utils.commands.cli import run_command

END_US = 1_000_000
_LEFT, _SCALE, _ROW, _CASE = 90, 0.00085, 34, 130
_KEPT, _LOST, _WINDOW, _LABELLED = "#1a7f37", "#cf222e", "#b6c2cf", "#54aeff"


def cases() -> dict[str, npt.NDArray[np.int64]]:
    """Label times, microseconds, by what is odd about them."""
    grid, rng = np.arange(100_000, END_US, 50_000), np.random.default_rng(0)
    slow = 100_000 + np.arange(18) * 50_250
    return {
        "20 Hz on the grid": grid,
        "20 Hz, each up to 3.5 ms early or late": grid + rng.integers(-3500, 3500, len(grid)),
        "a clock 0.5 % slow, with a gap": np.r_[slow[:3], slow[12:]],
        "12 Hz": np.arange(83_333, END_US, 83_333),
        "30 Hz": np.arange(66_667, END_US, 33_333),
        "60 Hz": np.arange(66_667, END_US, 16_667),
    }


def planned(times_us: npt.NDArray[np.int64], rule: str) -> WindowPlan:
    """What a rule makes of these times with windows of 50 ms and a base step of 50 ms."""
    boxes = np.zeros(len(times_us), dtype=BBOX_DTYPE)
    boxes["t"] = times_us
    cfg = PreprocessConfig((240, 304), base_step_ms=50, align_t_ms=50, label_times=rule)
    return plan_sequence(join_frames(boxes, cfg)[0], cfg, END_US)


def picture() -> str:
    """The whole picture as SVG."""
    rows = cases()
    height = 40 + _CASE * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="960" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="20">green: labels kept, red: labels dropped; bars: windows of 50 ms, '
        "blue: those that end at a label; 1 s in all</text>",
    ]
    for number, (title, times) in enumerate(rows.items()):
        top = 40 + _CASE * number
        parts.append(f'<text x="{_LEFT}" y="{top + 14}" font-weight="bold">{title}</text>')
        for index, rule in enumerate(("rvt", "nearest")):
            plan = planned(times, rule)
            kept = len(plan.label_times_us)
            middle = top + 34 + index * (_ROW + 12)
            parts.append(f'<text x="8" y="{middle + 8}">{rule}</text>')
            parts.append(f'<text x="8" y="{middle + 22}" fill="#57606a">{kept} of {len(times)}</text>')
            parts += _windows(plan, middle) + _labels(times, plan, middle)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(time_us: float) -> str:
    return f"{_LEFT + time_us * _SCALE:.1f}"


def _windows(plan: WindowPlan, top: int) -> list[str]:
    """Bars in three lanes, so that windows that overlap are seen."""
    labelled = set(plan.objframe_idx_2_repr_idx.tolist())
    return [
        f'<rect x="{_x(end - 49_000)}" y="{top + 10 + 7 * (index % 3)}" width="{49_000 * _SCALE:.1f}" height="5" '
        f'fill="{_LABELLED if index in labelled else _WINDOW}"/>'
        for index, end in enumerate(plan.ends_us.tolist())
    ]


def _labels(times_us: npt.NDArray[np.int64], plan: WindowPlan, top: int) -> list[str]:
    kept = set(plan.label_times_us.tolist())
    return [
        f'<circle cx="{_x(time)}" cy="{top + 2}" r="3" fill="{_KEPT if time in kept else _LOST}"/>'
        for time in times_us.tolist()
    ]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="label_times.py", description=__doc__)
    parser.add_argument("output", type=Path, help="an .svg file")
    args = parser.parse_args()
    run_command(lambda: write_text(args.output, picture()))


if __name__ == "__main__":
    main()
