#!/usr/bin/env python
"""Make a video of a recording: events in two colours, detections of a checkpoint, labels where there are any."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data.box_files.classes import ClassNames
from data.box_files.read import BoxContext
from data.box_files.times import ImageTimes, read_time_table
from data.events.clocks import check_clocks
from data.events.open import is_recording, open_recording
from data.events.recording import recording_name
from data.sequences.class_names import classes_of_sequences
from data.sequences.layout import EV_DIR
from modules.live import ENGINES
from modules.playback.boxes import Detections, FrameDetector, LabelTrack, find_labels, load_labels
from modules.playback.sequence import SequenceSource, find_representation, sequence_paths
from modules.playback.sources import EventSource, RecordingSource
from modules.playback.video import Moment, Overlays, Painter, Sheet, Timeline, moments, plan_time
from scripts import at_least_zero, count, make_parser, positive
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.pictures.drawing import THEMES
from utils.pictures.overlay import theme_palette
from utils.pictures.video import VideoWriter, check_writable, save_png, video_format
from utils.progress import track

log = logging.getLogger("visualize")

_USUAL_WIDTH = 640  # pixels; a video of a small camera is enlarged to about this

EPILOG = """examples:
  python scripts/visualize.py street.aedat4
  python scripts/visualize.py drive_td.dat --checkpoint best.ckpt --output drive.mp4
  python scripts/visualize.py datasets/gen1/val/17-04-04_11-00-13_cut_15_183500000_243500000 --checkpoint best.ckpt
  python scripts/visualize.py street.aedat4 --still street.png --still-frames 6
  python scripts/visualize.py street.aedat4 --output street.gif --fps 10 --duration-s 2
  python scripts/visualize.py street.aedat4 --labels coco.json --label-rate-hz 30

INPUT is a recording (.raw, .dat, HDF5, .aedat4, .npz, .npy, text), or the folder of a preprocessed sequence. The video
lasts as long as the recording (times 1/speed). Exit status 2 means a mistake in the command or its files, told in one
message."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__file__, __doc__, EPILOG)
    parser.add_argument("input", metavar="INPUT", type=Path, help="recording, or folder of a preprocessed sequence")
    out = parser.add_argument_group("output")
    out.add_argument("-o", "--output", type=Path, help="video: .mp4, .mov, .mkv or .gif (default: <INPUT's name>.mp4)")
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
    boxes.add_argument("--conf", type=at_least_zero, default=0.3, help="smallest score of a detection (default: 0.3)")
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
    boxes.add_argument("--label-rate-hz", type=positive, metavar="HZ", help="images a second, for boxes on images")
    boxes.add_argument("--label-times", type=Path, metavar="TABLE", help="times of images (image,t_us) instead")
    boxes.add_argument(
        "--label-hold-ms", type=at_least_zero, default=200.0, help="labels fade out over this (default: 200)"
    )
    boxes.add_argument("--classes", help="class names, comma separated (default: the checkpoint's or the dataset's)")
    look = parser.add_argument_group("look")
    look.add_argument(
        "--scale", type=positive, help="2 doubles the size (default: 1, more for cameras under 640 pixels)"
    )
    look.add_argument("--theme", choices=sorted(THEMES), default="dark", help="ground (default: dark)")
    look.add_argument("--plain", action="store_true", help="no time, no legend")
    look.add_argument("--representation", help="which frames of a sequence folder (default: as the checkpoint's)")
    look.add_argument("--sensor-hw", type=count, nargs=2, metavar=("H", "W"), help="sensor size if the file tells none")
    return parser


def open_source(args: argparse.Namespace) -> tuple[EventSource, FrameDetector | None]:
    """What is played and, with a checkpoint, the detector that watches it.

    Raises:
        UserError: INPUT is neither a recording nor a sequence folder, or does not fit the checkpoint.
    """
    path: Path = args.input
    if path.is_dir():
        return _open_sequence(args, path)
    recording = open_recording(path, tuple(args.sensor_hw) if args.sensor_hw else None)
    if not recording.size_known and not args.sensor_hw:
        log.info("the file tells no sensor size: taking %d x %d from its events", recording.width, recording.height)
    detector = load_detector(args, (recording.height, recording.width)) if args.checkpoint else None
    return RecordingSource(recording, detector.representation if detector else None), detector


def _open_sequence(args: argparse.Namespace, path: Path) -> tuple[EventSource, FrameDetector | None]:
    if not (path / EV_DIR).is_dir():
        recordings = [file.name for file in sorted(path.iterdir()) if is_recording(file)]
        inside = (recordings or [entry.name for entry in sorted(path.iterdir())])[:3]
        raise UserError(
            expected=f"a recording, or the folder of one sequence with {EV_DIR}",
            got=f"a folder with {', '.join(inside)}, ..." if inside else "an empty folder",
            where=str(path),
            fix=f"give one of its recordings, for example {path / recordings[0]}"
            if recordings
            else "give one sequence, for example <dataset>/val/<sequence>",
        )
    source = SequenceSource(sequence_paths(path, find_representation(path, args.representation)))
    if args.dt_ms is not None and abs(args.dt_ms * 1000 - source.dt_us) > 0.02 * source.dt_us:
        raise UserError(
            expected=f"the window of the stored frames, {source.dt_us / 1000:g} ms",
            got=f"{args.dt_ms:g} ms",
            where="--dt-ms",
            fix="leave it out for sequence folders; --fps and --speed may be chosen",
        )
    if not args.checkpoint:
        return source, None
    detector = load_detector(args, (source.height, source.width))
    needed = detector.representation
    name = find_representation(path, args.representation, needed)
    source = SequenceSource(sequence_paths(path, name, needed.downsample_by_factor_2))
    source.check_fits(needed, args.checkpoint)
    return source, detector


def load_detector(args: argparse.Namespace, sensor_hw: tuple[int, int]) -> FrameDetector:
    """The checkpoint's model for a camera of this height and width, without a past."""
    import torch  # slow to import, and only needed here

    from config.compose import compose
    from modules.live.streaming_detector import StreamingDetector

    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            expected="a CUDA device", got="none", where="--device cuda", fix="leave --device out, or say cpu"
        )
    config = compose(args.overrides) if args.overrides else None
    return StreamingDetector.from_checkpoint(args.checkpoint, sensor_hw, device, args.conf, config, engine=args.engine)


def choose_labels(args: argparse.Namespace, hw: tuple[int, int], names: Sequence[str]) -> LabelTrack | None:
    """Labels as ``--labels`` says, for a sensor of this height and width and classes of these names, and others."""
    if args.labels == "none":
        return None
    times = ImageTimes(args.label_rate_hz, table=read_time_table(args.label_times) if args.label_times else None)
    context = BoxContext(ClassNames(tuple(names)), hw, times, recording=recording_name(args.input.resolve()))
    if args.labels != "auto":
        return load_labels(Path(args.labels), args.representation, context)
    try:
        found = find_labels(args.input)
        return load_labels(found, args.representation, context) if found else None
    except UserError as error:
        log.warning("labels are left out: %s (%s)", error.got, error.where)
        return None


def check_outputs(video: Path | None, still: Path | None) -> None:
    """Complain about outputs before the work starts."""
    if video is not None:
        video_format(video)
    if still is not None and still.suffix.lower() != ".png":
        raise UserError(expected="a file that ends in .png", got=still.name, where="--still", fix="call it .png")
    for path in filter(None, (video, still)):
        check_writable(path)


def run(args: argparse.Namespace) -> None:
    """Make what the command line asks for.

    Raises:
        UserError: a mistake in the command or its files.
    """
    for path, what in ((args.input, "a recording or a sequence folder"), (args.checkpoint, "a checkpoint")):
        if path is not None and not path.exists():
            raise UserError(expected=what, got="nothing there", where=str(path), fix="check the path")
    if args.output is None and args.still is None:
        whole = args.input.resolve()
        args.output = Path(f"{whole.name if whole.is_dir() else recording_name(whole)}.mp4")
    check_outputs(args.output, args.still)
    source, detector = open_source(args)
    window = source.dt_us or 1000.0 * (args.dt_ms or (detector.representation.dt_ms if detector else 50.0))
    timeline = plan_time(source, window, args.fps, args.speed, args.start_s, args.duration_s)
    stored = detector.classes if detector else classes_of_sequences(Path(args.labels), args.input)
    names, hw = args.classes.split(",") if args.classes else list(stored), (source.height, source.width)
    labels = choose_labels(args, hw, names)
    if labels is not None:
        check_clocks(labels.times_us, source.start_us, source.stop_us, round(window), f"labels of {args.input}")
    detections = None
    if detector is not None:
        ticks = source.ticks(timeline.start_us, timeline.stop_us, detector.representation.dt_ms * 1000)
        detections = Detections(detector, source, ticks, args.conf)
    shown = list(labels.names) if labels is not None and labels.names else names
    overlays = Overlays(labels, detections, shown, args.label_hold_ms * 1000)
    args.scale = args.scale or max(1, round(_USUAL_WIDTH / hw[1]))
    painter = Painter(THEMES[args.theme], hw, None if args.plain else overlays.kinds(), args.speed)
    produce(args, painter, timeline, moments(source, timeline, overlays))


def produce(args: argparse.Namespace, painter: Painter, timeline: Timeline, frames: Iterator[Moment]) -> None:
    """Write the video and the still, whichever is asked for, in one pass and in constant memory."""
    total = len(timeline.ends)
    height, width = (max(round(pixels * args.scale), 2) for pixels in painter.camera_hw)
    sheet = None
    if args.still is not None:
        sheet = Sheet(painter, total, args.still_frames, args.still_columns, args.still_width, args.scale)
    with ExitStack() as stack:
        writer = None
        if args.output is not None:
            palette = theme_palette(painter.theme)
            writer = stack.enter_context(VideoWriter(args.output, height, width, timeline.fps, colours=palette))
        for index, moment in enumerate(track(frames, total=total, desc="drawing", unit="frame")):
            if writer is not None:
                writer.write(painter.paint(moment, height, width))
            if sheet is not None:
                sheet.offer(index, moment)
    if args.output is not None:
        log.info("%s: %d frames of %d x %d pixels, %.2f s", args.output, total, width, height, total / timeline.fps)
    if sheet is not None and args.still is not None:
        picture = sheet.image()
        save_png(args.still, picture)
        log.info("%s: %d x %d pixels", args.still, picture.shape[1], picture.shape[0])


def main() -> None:
    """Entry point."""
    args = build_parser().parse_args()
    run_command(lambda: run(args))


if __name__ == "__main__":
    main()
