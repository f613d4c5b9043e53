"""Tracking of pseudo labels in both directions, against the number of frames: the time should grow linearly.

For example:
  python scripts/benchmark/tracking.py
  python scripts/benchmark/tracking.py --frames 2000 20000 --boxes 10 --markdown docs/BENCHMARKS.md
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt

from modules.tracking.filter import TrackFilterConfig, filter_tracks
from scripts.benchmark.measure import write_section
from utils.boxes import Label
from utils.commands.cli import run_command

FRAME_HW = (240, 304)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="tracking.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[2000, 5000, 10000, 20000], help="lengths to time")
    parser.add_argument("--boxes", type=int, default=10, help="objects in a frame (default: 10)")
    parser.add_argument("--missed", type=float, default=0.1, help="share of boxes left out (default: 0.1)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each length, of which the median counts")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into this file as well")
    return parser


def wandering_boxes(frames: int, boxes: int, missed: float, seed: int = 0) -> list[npt.NDArray[np.float32]]:
    """Label rows [n, 8] of boxes that drift, bounce off the border, jitter, and are left out now and then."""
    rng = np.random.default_rng(seed)
    limit = np.array(FRAME_HW[::-1], dtype=np.float64)
    size = rng.uniform(12, 50, (boxes, 2))
    position, velocity = rng.uniform(0, limit - size), rng.normal(0, 2, (boxes, 2))
    sequence = []
    for _ in range(frames):
        position = position + velocity
        velocity = np.where((position < 0) | (position + size > limit), -velocity, velocity)
        position = np.clip(position, 0, limit - size)
        rows = np.full((boxes, len(Label)), 0.8, dtype=np.float32)
        rows[:, Label.T], rows[:, Label.CLASS_ID] = 0, np.arange(boxes) % 2
        rows[:, Label.XY], rows[:, Label.WH] = position + rng.normal(0, 0.7, (boxes, 2)), size
        sequence.append(rows[rng.random(boxes) >= missed])
    return sequence


def seconds_both_ways(sequence: list[npt.NDArray[np.float32]], runs: int) -> float:
    """Median processor seconds to track a sequence forwards and backwards and filter its boxes."""
    config = TrackFilterConfig(track_method="forward or backward", inpaint=True)
    filter_tracks(range(10), sequence[:10], FRAME_HW, config)  # compiles
    times = []
    for _ in range(runs):
        start = time.process_time()
        filter_tracks(range(len(sequence)), sequence, FRAME_HW, config)
        times.append(time.process_time() - start)
    return statistics.median(times)


def table(options: argparse.Namespace) -> str:
    """Markdown with the protocol and a row for each length."""
    lines = [
        "## Tracking",
        "",
        f"{options.boxes} boxes a frame, {options.missed:.0%} left out, forward and backward, inpainting; processor "
        f"time of one core, median of {options.runs} runs, compilation apart.",
        "",
        "| frames | seconds | µs a frame |",
        "|---:|---:|---:|",
    ]
    for frames in options.frames:
        seconds = seconds_both_ways(wandering_boxes(frames, options.boxes, options.missed), options.runs)
        lines.append(f"| {frames} | {seconds:.3f} | {1e6 * seconds / frames:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it where asked."""
    options = build_parser().parse_args()

    def command() -> None:
        text = table(options)
        print(text)
        if options.markdown is not None:
            write_section(options.markdown, "tracking", text)

    run_command(command)


if __name__ == "__main__":
    main()
