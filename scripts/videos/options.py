"""The command line of ``scripts/visualize.py``."""

from __future__ import annotations

import argparse
from pathlib import Path

from modules.live import ENGINES
from scripts import at_least_zero, count, positive, share
from utils.pictures.drawing import THEMES

EPILOG = """examples:
  python scripts/visualize.py street.aedat4
  python scripts/visualize.py drive_td.dat --checkpoint best.ckpt --output drive.mp4
  python scripts/visualize.py datasets/gen1/val/17-04-04_11-00-13_cut_15_183500000_243500000 --checkpoint best.ckpt
  python scripts/visualize.py street.aedat4 --still street.png --still-frames 6
  python scripts/visualize.py street.aedat4 --output street.gif --fps 10 --duration-s 2
  python scripts/visualize.py street.aedat4 --viewer
  python scripts/visualize.py street.aedat4 --labels coco.json --label-rate-hz 30
  python scripts/visualize.py datasets/pseudo/train/drive --truth datasets/full/train/drive --panels

INPUT is a recording (.raw, .dat, HDF5, .aedat4, .npz, .npy, text), or the folder of a preprocessed sequence. The video
lasts as long as the recording (times 1/speed). Exit status 2 means a mistake in the command or its files, told in one
message."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add INPUT and the options, in groups."""
    parser.add_argument("input", metavar="INPUT", type=Path, help="recording, or folder of a preprocessed sequence")
    out = parser.add_argument_group("output")
    out.add_argument(
        "-o",
        "--output",
        type=Path,
        help="video: .mp4, .mov, .mkv or .gif; .rrd: for the Rerun viewer (default: <INPUT's name>.mp4)",
    )
    out.add_argument("--viewer", action="store_true", help="watch in the Rerun viewer; no video unless --output")
    out.add_argument("--still", type=Path, metavar="PNG", help="picture of frames on a grid; no video unless --output")
    out.add_argument("--still-frames", type=count, default=6, metavar="N", help="frames on it (default: 6)")
    out.add_argument("--still-columns", type=count, metavar="N", help="frames in a row (default: about 16:9 in all)")
    out.add_argument("--still-width", type=count, default=1600, metavar="PX", help="largest width (default: 1600)")
    time = parser.add_argument_group("time")
    time.add_argument("--dt-ms", type=positive, help="window of events in a frame (default: the checkpoint's, or 50)")
    time.add_argument("--fps", type=positive, help="frames per second (default: speed / window, 20 for 50 ms)")
    time.add_argument("--speed", type=positive, default=1.0, help="0.5 plays at half speed (default: 1, real time)")
    time.add_argument("--start-s", type=at_least_zero, default=0.0, help="where to start, seconds (default: 0)")
    time.add_argument("--duration-s", type=positive, help="how much to show, seconds (default: all)")
    boxes = parser.add_argument_group("boxes")
    boxes.add_argument("--checkpoint", type=Path, metavar="CKPT", help="draw the detections of this checkpoint")
    boxes.add_argument("--overrides", nargs="+", help="for a checkpoint of RVT or LEOD: its dataset, as dataset=gen1")
    boxes.add_argument(
        "--min-score",
        "--conf",
        dest="min_score",
        type=share,
        metavar="SCORE",
        help="smallest score of a detection (default: 0.3) and of a pseudo label (default: all)",
    )
    boxes.add_argument("--only-class", metavar="NAMES", help="boxes of these classes alone, comma separated")
    boxes.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="for the model (default: auto)"
    )
    boxes.add_argument("--engine", choices=ENGINES, default="eager", help="on a CPU; auto: fastest (default: eager)")
    boxes.add_argument(
        "--labels",
        default="auto",
        metavar="auto|none|PATH",
        help="labels: the sequence's own, or *_bbox.npy or .csv beside a recording (auto), none, a sequence folder, "
        "a .npy, or boxes as for scripts/import_boxes.py: .csv, COCO .json, YOLO, VOC, MOT, KITTI",
    )
    boxes.add_argument(
        "--truth", type=Path, metavar="PATH", help="ground truth that the labels do not have, read alike"
    )
    boxes.add_argument("--label-rate-hz", type=positive, metavar="HZ", help="images a second, for boxes on images")
    boxes.add_argument("--label-times", type=Path, metavar="TABLE", help="times of images (image,t_us) instead")
    boxes.add_argument(
        "--label-hold-ms", type=at_least_zero, default=200.0, help="labels fade out over this (default: 200)"
    )
    boxes.add_argument("--classes", help="class names, comma separated (default: the checkpoint's or the dataset's)")
    boxes.add_argument("--tracks", action="store_true", help="number objects and draw where they came from")
    look = parser.add_argument_group("look")
    look.add_argument("--panels", action="store_true", help="truth, labels and detections side by side")
    look.add_argument(
        "--frames", action="store_true", help="grey pictures of a DAVIS camera (.aedat4) behind the events"
    )
    look.add_argument(
        "--scale", type=positive, help="2 doubles the size (default: 1, more for cameras under 640 pixels)"
    )
    look.add_argument("--theme", choices=sorted(THEMES), default="dark", help="ground (default: dark)")
    look.add_argument("--plain", action="store_true", help="no time, no legend")
    look.add_argument("--representation", help="which frames of a sequence folder (default: as the checkpoint's)")
    look.add_argument("--sensor-hw", type=count, nargs=2, metavar=("H", "W"), help="sensor size if the file tells none")
