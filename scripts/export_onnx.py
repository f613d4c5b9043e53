"""Write a trained detector as an ONNX file: one frame and the states in, predictions and the new states out.

The file is run in onnxruntime beside torch over a sequence of random frames, each with its own states, before it
appears. Frames go in as they are made from events (integers, unpadded; pillars for a model that reads events);
predictions come out before thresholds and NMS, of the YOLOX form [streams, anchors, 5 + classes] = cx, cy, w, h in
pixels of the frame, objectness, class probabilities; others name theirs on their pages. States start as zeros. The
file's metadata says how many sensor pixels a pixel of the frame is.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import numpy.typing as npt
import torch

from config.compose import compose
from modules.live.onnx import check_packages, export_onnx, largest_differences
from modules.live.pillars import PillarMaker
from modules.live.streaming_detector import StreamingDetector
from scripts import count, make_parser
from utils.atomic import atomic_path
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.pictures.video import check_writable

log = logging.getLogger("export_onnx")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__file__, __doc__)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="of train.py, or weights of RVT or LEOD")
    parser.add_argument(
        "overrides", metavar="KEY=VALUE", nargs="*", help="for weights of RVT or LEOD: their dataset, e.g. dataset=gen1"
    )
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: CHECKPOINT's name with .onnx)")
    parser.add_argument("--sensor-hw", type=count, nargs=2, metavar=("H", "W"), help="camera (default: as trained)")
    parser.add_argument("--streams", type=count, default=1, metavar="N", help="streams run together (default: 1)")
    parser.add_argument("--frames", type=count, default=20, metavar="N", help="length of the check (default: 20)")
    limit = "largest difference from torch, relative for values above 1 (default: 1e-4)"
    parser.add_argument("--tolerance", type=float, default=1e-4, help=limit)
    return parser


def metadata(detector: StreamingDetector) -> dict[str, str]:
    """What somebody who runs the file has to know."""
    form = detector.representation
    return {
        "classes": json.dumps(detector.classes),
        "sensor_hw": json.dumps(detector.sensor_hw),
        "frame_chw": json.dumps(detector.frame_shape),
        "box_pixels": "frame",  # of the predictions; times sensor_pixels_per_box_pixel they are the sensor's
        "sensor_pixels_per_box_pixel": str(detector.frames.sensor_pixels),
        "representation": json.dumps(vars(form)),
        "confidence_threshold": str(detector.confidence_threshold),
        "nms_threshold": str(detector.nms_threshold),
    }


def run(args: argparse.Namespace) -> None:
    """Export and compare.

    Raises:
        UserError: no such checkpoint, an output that cannot be written, or a tolerance that is not met.
    """
    check_packages()
    output: Path = args.output or args.checkpoint.with_suffix(".onnx")
    if output.suffix != ".onnx":
        raise UserError(expected="a file that ends in .onnx", got=output.name, where="--output", fix="call it .onnx")
    detector = StreamingDetector.from_checkpoint(
        args.checkpoint,
        tuple(args.sensor_hw) if args.sensor_hw else None,
        config=compose(args.overrides) if args.overrides else None,
    )
    check_writable(output)
    frames = random_windows(detector, args.frames, args.streams)
    dtype = torch.from_numpy(frames[:1]).dtype
    with atomic_path(output) as unchecked:
        export_onnx(detector.network, unchecked, args.streams, dtype, metadata(detector))
        worst = largest_differences(detector.network, unchecked, frames)
        for name, (absolute, scaled) in worst.items():
            log.info("%s: largest difference from torch %.1e; relative for values above 1 %.1e", name, absolute, scaled)
        check_equality(worst, args)
    size = output.stat().st_size / 1e6
    largest = max(scaled for _, scaled in worst.values())
    log.info(
        "%s: %.1f MB, %d states; differs from torch by %.1e over %d frames (relative for values above 1; limit %g)",
        output,
        size,
        len(detector.states),
        largest,
        args.frames,
        args.tolerance,
    )


def random_windows(detector: StreamingDetector, length: int, streams: int) -> npt.NDArray[Any]:
    """What the network takes of so many windows of each stream, [length, streams, ...], of random events."""
    rng, maker = np.random.default_rng(0), detector.frames
    shape = (length, streams, *detector.frame_shape)
    if not isinstance(maker, PillarMaker):
        return np.minimum(rng.poisson(0.1, shape), 10).astype(detector.frame_dtype)
    height, width = detector.sensor_hw
    most = (width, height, int(1000 * maker.settings.dt_ms), 2)
    windows = np.empty(shape, detector.frame_dtype)
    for place in np.ndindex(length, streams):
        x, y, t, p = rng.integers(most, size=(2000, len(most))).T
        windows[place] = maker.frame((x, y, np.sort(t), p))
    return windows


def check_equality(worst: dict[str, tuple[float, float]], args: argparse.Namespace) -> None:
    """Refuse a file that does not do what torch does.

    Raises:
        UserError: an output differs by more than the tolerance.
    """
    name, (_, largest) = max(worst.items(), key=lambda item: item[1][1])
    if not largest <= args.tolerance:
        raise UserError(
            expected=f"torch and onnxruntime to agree within {args.tolerance:g} over {args.frames} frames",
            got=f"a difference of {largest:.1e} in {name}",
            where=str(args.checkpoint),
            fix="nothing was written; give a larger --tolerance if such a difference is acceptable",
        )


def main() -> None:
    """Entry point."""
    args = build_parser().parse_args()
    run_command(lambda: run(args))


if __name__ == "__main__":
    main()
