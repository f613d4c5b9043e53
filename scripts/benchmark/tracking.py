"""Tracking of pseudo labels in both directions, against the number of frames: the time should grow linearly.

For example:
  python scripts/benchmark/tracking.py
  python scripts/benchmark/tracking.py --frames 2000 20000 --boxes 10 --markdown docs/BENCHMARKS.md
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt
import torch

from modules.tracking.filter import TrackFilterConfig, filter_tracks
from scripts import make_parser
from scripts.benchmark import command
from scripts.benchmark.measure import CPU, alternate
from utils.boxes import Label
from utils.tables import table

FRAME_HW = (240, 304)


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


def run(args: argparse.Namespace) -> str:
    """Markdown with the protocol and a row for each length."""
    torch.set_num_threads(1)  # processor seconds are taken
    config = TrackFilterConfig(track_method="forward or backward", inpaint=True)
    rows = []
    for frames in args.frames:
        sequence = wandering_boxes(frames, args.boxes, args.missed)
        variant = {"": partial(filter_tracks, range(frames), sequence, FRAME_HW, config)}
        seconds = alternate(variant, 1, args.runs, CPU)[""].cost
        rows.append((frames, f"{seconds:.3f}", f"{1e6 * seconds / frames:.1f}"))
    protocol = (
        f"{args.boxes} boxes a frame, {args.missed:.0%} left out, forward and backward, inpainting; processor "
        f"time of one core, median of {args.runs} runs, compilation apart."
    )
    lines = table(("frames", "seconds", "µs a frame"), rows, right=range(3))
    return "\n".join(["## Tracking", "", protocol, "", *lines])


def main() -> None:
    """Entry point."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[2000, 5000, 10000, 20000], help="lengths to time")
    parser.add_argument("--boxes", type=int, default=10, help="objects in a frame (default: 10)")
    parser.add_argument("--missed", type=float, default=0.1, help="share of boxes left out (default: 0.1)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each length, of which the median counts")
    command.main("tracking", parser, run, frames=1, boxes=1, runs=1)


if __name__ == "__main__":
    main()
