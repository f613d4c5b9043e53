"""Open what is to be played: a recording's file, an open recording, or the folder of a preprocessed sequence."""

from __future__ import annotations

from pathlib import Path

from data.events.open import is_recording, open_recording
from data.events.recording import Recording
from data.sequences.layout import EV_DIR
from modules.playback.sequence import SequenceSource, find_representation, sequence_paths
from modules.playback.sources import EventSource, FrameFormat, RecordingSource
from utils.errors import UserError


def open_folder(
    path: Path, representation: str | None = None, needed: FrameFormat | None = None, taker: str = "the detector"
) -> SequenceSource:
    """The folder of one sequence.

    Args:
        path: of the folder.
        representation: which of its frames, by name.
        needed: what a detector takes; None plays any.
        taker: how messages call the detector.

    Raises:
        UserError: the folder is none of a sequence, or the detector cannot take its frames.
    """
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
    name = find_representation(path, representation, needed)
    source = SequenceSource(sequence_paths(path, name, needed.downsample_by_factor_2 if needed else None))
    if needed is not None:
        source.check_fits(needed, taker)
    return source


def open_for(given: Path | str | Recording, needed: FrameFormat, sensor_hw: tuple[int, int]) -> EventSource:
    """What a detector of this camera is to see.

    Args:
        given: a file, an open recording or a sequence's folder.
        needed: the frames that it takes.
        sensor_hw: height and width of its camera; taken where a file tells no size.

    Raises:
        UserError: nothing that can be played, or of a camera of another size.
    """
    if not isinstance(given, Recording) and Path(given).is_dir():
        source = open_folder(Path(given), None, needed)
    else:
        recording = given if isinstance(given, Recording) else open_recording(given)
        source = RecordingSource(recording, needed)
        inside = source.height <= sensor_hw[0] and source.width <= sensor_hw[1]
        if not recording.size_known and inside:
            source.height, source.width = sensor_hw
    if (source.height, source.width) != tuple(sensor_hw):
        raise UserError(
            expected=f"a camera of {sensor_hw[0]} rows and {sensor_hw[1]} columns, as the detector has it",
            got=f"{source.height} rows and {source.width} columns",
            where=source.name,
            fix=f"StreamingDetector.from_checkpoint(..., sensor_hw=({source.height}, {source.width}))",
        )
    return source
