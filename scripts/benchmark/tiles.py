"""Peak memory of sharpening clips piece by piece, each in a process of its own: it should not grow with the clip.

For example:
  python scripts/benchmark/tiles.py
  python scripts/benchmark/tiles.py --frames 8 --sides 64 --quick
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from config.compose import compose
from models.registry import spec_for
from models.restoration.interface import Restorer
from models.restoration.tiles import TileSettings, Window, restored
from scripts import check_least, make_parser
from utils.commands.cli import run_command
from utils.settings import settings_of
from utils.tables import table

TILED = ("model.tiles.frames=4", "model.tiles.side=64", "model.tiles.overlap=8")
QUICK = ("model.tiles.frames=2", "model.tiles.side=32", "model.tiles.overlap=8")


def peak_mib(frames: int, height: int, width: int, overrides: list[str]) -> float:
    """Largest resident memory of a process that sharpens such a clip, MiB; 0 frames: what all of it takes before."""
    config = compose(["model=vrt_spike-small", "dataset=clips", *overrides])
    torch.set_num_threads(1)
    network = spec_for("restoration", config["model"]).build(config["model"]).eval()
    assert isinstance(network, Restorer), "families of this task build such networks"
    tiles, bins = settings_of(TileSettings, config, "model.tiles"), network.spike_bins

    def read(start: int, stop: int, window: Window) -> tuple[Tensor, Tensor]:
        size = (len(range(height)[window[0]]), len(range(width)[window[1]]))
        return torch.rand(1, stop - start, 3, *size), torch.rand(1, stop - start, bins, *size)

    for _ in restored(network, read, frames, (height, width), tiles):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(args: argparse.Namespace) -> None:
    """Write a table.

    Raises:
        UserError: a number that is too small.
    """
    check_least(args, frames=2, sides=16)
    overrides = list(QUICK if args.quick else TILED)
    whole = ["model.tiles.frames=100000", "model.tiles.side=100000"]
    cases = [(frames, side, name) for frames in args.frames for side in args.sides for name in ("tiles", "whole")]
    context, rows = multiprocessing.get_context("spawn"), []
    for frames, side, name in cases:
        if name == "whole" and frames * side * side > args.largest_whole:
            rows.append((frames, f"{side} x {side}", name, "not tried"))
            continue
        with context.Pool(1) as pool:
            peak = pool.apply(peak_mib, (frames, side, side, whole if name == "whole" else overrides))
        rows.append((frames, f"{side} x {side}", name, f"{peak:.0f}"))
    sys.stdout.write("\n".join(table(("frames", "pixels", "how", "peak, MiB"), rows)) + "\n")


def main() -> None:
    """Read the command line."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[4, 16, 64], help="lengths (default: 4 16 64)")
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128], help="heights and widths (default: 64 128)")
    largest = 4 * 128 * 128
    text = f"pixels of the largest clip that is sharpened in one go as well (default: {largest})"
    parser.add_argument("--largest-whole", type=int, default=largest, metavar="N", help=text)
    parser.add_argument("--quick", action="store_true", help="small tiles: shows that all of it works")
    args: argparse.Namespace = parser.parse_args()
    run_command(lambda: run(args))


if __name__ == "__main__":
    main()
