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
from data.events.formats.aedat4.frames import GreyFrames
from data.events.open import open_recording
from data.events.recording import recording_name
from data.sequences.class_names import classes_of_sequences
from data.synthetic.config import classes_of_recording
from modules.live.rerun_package import load_rerun
from modules.live.viewer import VIEWER_FILE, RerunViewer
from modules.playback.boxes import LabelTrack, classes_called, find_labels, load_labels
from modules.playback.detections import Detections, FrameDetector
from modules.playback.opening import open_folder
from modules.playback.painting import Moment, Painter, Sheet, usual_scale
from modules.playback.sources import EventSource, RecordingSource
from modules.playback.video import Overlays, Timeline, moments, plan_time
from scripts import make_parser
from scripts.videos.options import EPILOG, add_options
from scripts.videos.tracks import with_tracks
from utils.commands.cli import run_command
from utils.errors import UserError
from utils.pictures.drawing import THEMES
from utils.pictures.overlay import theme_palette
from utils.pictures.video import VideoWriter, check_writable, save_png, video_format
from utils.progress import track

log = logging.getLogger("visualize")

MIN_SCORE = 0.3
"""Smallest score of a detection that is drawn."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__file__, __doc__, EPILOG)
    add_options(parser)
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
    source = open_folder(path, args.representation)
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
    return open_folder(path, args.representation, detector.representation, args.checkpoint.name), detector


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
    score = smallest(args)
    return StreamingDetector.from_checkpoint(args.checkpoint, sensor_hw, device, score, config, engine=args.engine)


def smallest(args: argparse.Namespace) -> float:
    """Score from which detections are drawn."""
    return MIN_SCORE if args.min_score is None else args.min_score


def choose_labels(args: argparse.Namespace, hw: tuple[int, int], names: Sequence[str]) -> LabelTrack | None:
    """Labels as ``--labels`` says, for a sensor of this height and width and classes of these names, and others."""
    if args.labels == "none":
        return None
    context = box_context(args, hw, names)
    if args.labels != "auto":
        return load_labels(Path(args.labels), args.representation, context)
    try:
        found = find_labels(args.input)
        return load_labels(found, args.representation, context) if found else None
    except UserError as error:
        log.warning("labels are left out: %s (%s)", error.got, error.where)
        return None


def box_context(args: argparse.Namespace, hw: tuple[int, int], names: Sequence[str]) -> BoxContext:
    """What a file of boxes does not say itself."""
    times = ImageTimes(args.label_rate_hz, table=read_time_table(args.label_times) if args.label_times else None)
    return BoxContext(ClassNames(tuple(names)), hw, times, recording=recording_name(args.input.resolve()))


def choose_boxes(
    args: argparse.Namespace, source: EventSource, detector: FrameDetector | None, timeline: Timeline
) -> Overlays:
    """All boxes that are drawn, with the names that the command, the checkpoint, a dataset or a file has for them."""
    folders = [Path(args.labels), args.input, *([args.truth] if args.truth else [])]
    known = detector.classes if detector else ()
    known = known or classes_of_sequences(*folders) or classes_of_recording(args.input)
    names, hw = args.classes.split(",") if args.classes else list(known), (source.height, source.width)
    labels = choose_labels(args, hw, names)
    names = list(labels.names) if labels is not None and labels.names else names
    truth = load_labels(args.truth, args.representation, box_context(args, hw, names)) if args.truth else None
    names = list(truth.names) if truth is not None and truth.names else names
    window = round(timeline.window_us)
    for stored, what in ((labels, f"labels of {args.input}"), (truth, str(args.truth))):
        if stored is not None:
            check_clocks(stored.times_us, source.start_us, source.stop_us, window, what)
    only = classes_called(args.only_class.split(","), names) if args.only_class is not None else None
    labels, truth = (boxes and boxes.chosen(args.min_score or 0.0, only) for boxes in (labels, truth))
    if not names and (labels or truth):
        log.info("no file here names the classes: --classes car,pedestrian does")
    detections = None
    if detector is not None:
        ticks = source.ticks(timeline.start_us, timeline.stop_us, detector.representation.dt_ms * 1000)
        detections = Detections(detector, source, ticks, smallest(args), names, only)
    return Overlays(labels, detections, names, args.label_hold_ms * 1000, truth)


def check_outputs(video: Path | None, still: Path | None, viewers: Sequence[Path | None]) -> None:
    """Complain about outputs before the work starts."""
    if viewers:
        load_rerun()
    if video is not None:
        video_format(video)
    if still is not None and still.suffix.lower() != ".png":
        raise UserError(expected="a file that ends in .png", got=still.name, where="--still", fix="call it .png")
    for path in filter(None, (video, still, *viewers)):
        check_writable(path)


def run(args: argparse.Namespace) -> None:
    """Make what the command line asks for.

    Raises:
        UserError: a mistake in the command or its files.
    """
    for path, what in ((args.input, "a recording or a sequence folder"), (args.checkpoint, "a checkpoint")):
        if path is not None and not path.exists():
            raise UserError(expected=what, got="nothing there", where=str(path), fix="check the path")
    if args.output is None and args.still is None and not args.viewer:
        whole = args.input.resolve()
        args.output = Path(f"{whole.name if whole.is_dir() else recording_name(whole)}.mp4")
    file = args.output is not None and args.output.suffix.lower() == VIEWER_FILE
    args.viewers = [*([None] if args.viewer else []), *([args.output] if file else [])]  # None is a window
    args.output = None if file else args.output
    check_outputs(args.output, args.still, args.viewers)
    ground = GreyFrames(args.input) if args.frames else None
    source, detector = open_source(args)
    window = source.dt_us or 1000.0 * (args.dt_ms or (detector.representation.dt_ms if detector else 50.0))
    timeline = plan_time(source, window, args.fps, args.speed, args.start_s, args.duration_s)
    if len(timeline.ends) == 1 and args.still is None and not args.viewers:
        log.warning("all of it is one frame: --still %s.png makes a picture of it", args.input.stem)
    overlays = choose_boxes(args, source, detector, timeline)
    titles = overlays.titles() if args.panels else []
    if len(titles) == 1 or (args.panels and not titles):
        raise UserError(
            expected="two or three kinds of boxes to show side by side",
            got=", ".join(titles) or "no boxes",
            where="--panels",
            fix="add --truth, --labels or --checkpoint",
        )
    args.scale = args.scale or usual_scale(source.width)
    kinds = None if args.plain else overlays.kinds()
    painter = Painter(THEMES[args.theme], (source.height, source.width), kinds, args.speed, titles)
    follow = with_tracks if args.tracks else None
    produce(args, painter, timeline, moments(source, timeline, overlays, follow, ground))


def produce(args: argparse.Namespace, painter: Painter, timeline: Timeline, frames: Iterator[Moment]) -> None:
    """Write the video and the still, and fill the viewers, whichever is asked for, in one pass and constant memory."""
    total = len(timeline.ends)
    height, width = painter.size(args.scale)
    sheet = None
    if args.still is not None:
        sheet = Sheet(painter, total, args.still_frames, args.still_columns, args.still_width, args.scale)
    with ExitStack() as stack:
        writer = None
        if args.output is not None:
            palette = None if args.frames else theme_palette(painter.theme)
            writer = stack.enter_context(VideoWriter(args.output, height, width, timeline.fps, colours=palette))
        watching = [stack.enter_context(RerunViewer(path, args.input.name, args.theme)) for path in args.viewers]
        for index, moment in enumerate(track(frames, total=total, desc="drawing", unit="frame")):
            if writer is not None:
                writer.write(painter.paint(moment, height, width))
            if sheet is not None:
                sheet.offer(index, moment)
            for viewer in watching:
                viewer.add(moment, painter.camera_hw, int(timeline.ends[index]), timeline.window_us)
    for path in args.viewers:
        log.info("%s: %d windows%s", path or "the viewer", total, f"; rerun {path} shows it" if path else "")
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
