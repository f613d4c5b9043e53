"""Pictures beside the events of an AEDAT4 file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from data.events.formats.aedat4.frames import GreyFrames
from tests.helpers.recordings.recording_files import aedat4_bytes, random_events
from utils.errors import UserError

EVENTS = random_events(9, 48, 64)


def frame_packet(t: int, pixels: np.ndarray) -> bytes:
    """A table FRME behind its size: t, four further times, format, width, height, place and pixels [h, w]."""
    height, width = pixels.shape
    vtable = struct.pack("<2H11H2x", 26, 60, 8, 16, 24, 32, 40, 48, 50, 52, 54, 56, 4)
    table = struct.pack("<iI5qbxhhhh2x", 28, 56, *[t] * 5, 0, width, height, 0, 0)
    body = struct.pack("<I4s", 36, b"FRME") + vtable + table + struct.pack("<I", pixels.size) + pixels.tobytes()
    return struct.pack("<I", len(body)) + body


def write_with_frames(path: Path, frames: dict[int, np.ndarray], *others: tuple[int, str, int, int]) -> None:
    """Events of 48 x 64 pixels as stream 0, pictures by their times as stream 1."""
    content = aedat4_bytes([(0, EVENTS)], [(0, "EVTS", 48, 64), (1, "FRME", 48, 64), *others])
    packets = [frame_packet(t, pixels) for t, pixels in frames.items()]
    path.write_bytes(content + b"".join(struct.pack("<ii", 1, len(packet)) + packet for packet in packets))


@pytest.mark.parametrize("others", [(), ((2, "BBOX", 48, 64),)])
def test_the_newest_picture_is_seen(tmp_path: Path, others: tuple[tuple[int, str, int, int], ...]) -> None:
    first, second = (np.random.default_rng(seed).integers(0, 256, (48, 64), dtype=np.uint8) for seed in (0, 1))
    write_with_frames(tmp_path / "a.aedat4", {1000: first, 2000: second}, *others)
    frames = GreyFrames(tmp_path / "a.aedat4")
    assert frames.at(999) is None
    for end, wanted in ((1000, first), (1999, first), (2000, second), (9000, second)):
        np.testing.assert_array_equal(frames.at(end), wanted)


def test_files_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "events.aedat4").write_bytes(aedat4_bytes([(0, EVENTS)], [(0, "EVTS", 48, 64)]))
    (tmp_path / "text.csv").write_text("1,2,3,0\n")
    for name in ("events.aedat4", "text.csv", "."):
        with pytest.raises(UserError, match="no frames"):
            GreyFrames(tmp_path / name)


def test_a_damaged_picture_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat4"
    write_with_frames(path, {1000: np.zeros((48, 64), np.uint8)})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="after 0 frames"):
        GreyFrames(path)
