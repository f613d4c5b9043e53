"""Sharpen a clip of any length: video or picture of blurred, restored and sharp frames side by side.

For example:
  python scripts/videos/restored.py run/last.ckpt datasets/clips/test/test_0000.h5
  python scripts/videos/restored.py run/last.ckpt datasets/clips/test/test_0000.h5 --still clip.png --scale 3

The clip is read and sharpened piece by piece (model.tiles of the checkpoint), so memory does not grow with its length.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.clips.files import SPIKES, ClipSequence, open_sequence
from models.registry import spec_of_section
from models.restoration.interface import Restorer
from models.restoration.tiles import TileSettings, Window, restored
from models.weights import load_tensors
from modules.weights.files import read_checkpoint
from scripts import count, make_parser, positive
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.pictures.drawing import contact_sheet
from utils.pictures.video import VideoWriter, save_png
from utils.progress import track
from utils.settings import settings_of

log = logging.getLogger("restored")

Image = npt.NDArray[np.uint8]

ORDER = "blurred, restored, sharp"
"""What a row shows from left to right."""


def load_restorer(path: Path) -> tuple[Restorer, TileSettings]:
    """The network of a checkpoint, ready to be used, and the size of its pieces.

    Raises:
        UserError: the file is no checkpoint of a network that sharpens clips, and clips alone.
    """
    _, state, config = read_checkpoint(path)
    network = spec_of_section(config["model"]).build(config["model"]) if config else None
    if config is None or not isinstance(network, Restorer):
        raise UserError(
            expected="a checkpoint of train.py model=vrt_spike",
            got="one without its configuration" if config is None else "a network of another task",
            where=str(path),
            fix="give last.ckpt or best.ckpt of such a run",
        )
    network.check_alone()
    load_tensors(network, state, str(path))
    return network.eval(), settings_of(TileSettings, config, "model.tiles")


def sharpened(network: Restorer, tiles: TileSettings, sequence: ClipSequence) -> Iterator[Image]:
    """Restored frames of a file one after the other, uint8 [H, W, 3]; memory depends on the pieces alone."""

    def read(start: int, stop: int, window: Window) -> tuple[Tensor, Tensor | None]:
        parts = sequence.read(start, stop, window)
        blurred = torch.from_numpy(parts["blurred"]).permute(0, 3, 1, 2)[None].float() / 255
        return blurred, torch.from_numpy(parts[SPIKES])[None].float() if network.spike_bins else None

    for frame in restored(network, read, sequence.frames, sequence.size, tiles):
        yield (frame[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def rows(network: Restorer, tiles: TileSettings, sequence: ClipSequence, scale: int) -> Iterator[Image]:
    """Blurred, restored and sharp frame side by side, enlarged."""
    whole = (slice(None), slice(None))
    for index, frame in enumerate(sharpened(network, tiles, sequence)):
        parts = sequence.read(index, index + 1, whole)
        row = np.concatenate([parts["blurred"][0], frame, parts["sharp"][0]], axis=1)
        yield np.ascontiguousarray(row.repeat(scale, axis=0).repeat(scale, axis=1))


def run(args: argparse.Namespace) -> None:
    """Write what is asked for.

    Raises:
        UserError: a file that cannot be read or written.
    """
    network, tiles = load_restorer(args.checkpoint)
    sequence = open_sequence(args.clip)
    output = args.output or (None if args.still else Path(f"{args.clip.stem}.mp4"))
    height, width = args.scale * sequence.size[0], args.scale * 3 * sequence.size[1]
    shown = min(args.still_frames, sequence.frames) if args.still is not None else 0
    places = set(np.linspace(0, sequence.frames - 1, shown).round().astype(int).tolist())
    images = track(rows(network, tiles, sequence, args.scale), total=sequence.frames, desc="restoring", unit="frame")
    chosen: list[Image] = []
    with ExitStack() as stack:
        video = stack.enter_context(VideoWriter(output, height, width, args.fps)) if output is not None else None
        for index, image in enumerate(images):
            if index in places:
                chosen.append(image)
            if video is not None:
                video.write(image)
    if output is not None:
        log.info("%s: %d frames of %d x %d pixels: %s", output, sequence.frames, width, height, ORDER)
    if args.still is not None:
        save_png(args.still, contact_sheet(chosen, columns=1))
        log.info("%s: %d frames: %s", args.still, len(chosen), ORDER)


def main() -> None:
    """Read the command line."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="of train.py model=vrt_spike")
    parser.add_argument("clip", type=Path, metavar="CLIP", help="file of a sequence of clips, .h5")
    parser.add_argument("-o", "--output", type=Path, help="video: .mp4, .mov, .mkv or .gif (default: CLIP's name.mp4)")
    parser.add_argument("--still", type=Path, metavar="PNG", help="picture of some frames; no video unless --output")
    parser.add_argument("--still-frames", type=count, default=4, metavar="N", help="frames on it (default: 4)")
    parser.add_argument("--scale", type=count, default=2, help="2 doubles the size (default: 2)")
    parser.add_argument("--fps", type=positive, default=10, help="frames a second of the video (default: 10)")
    args = parser.parse_args()
    run_command(lambda: run(args))


if __name__ == "__main__":
    main()
