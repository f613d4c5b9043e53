"""Boxes of MOT and of KITTI: text, a line a box."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from data.box_files.picture import DrawnBox, Picture
from data.box_files.text import bad_line, is_whole, read_numbers, text_lines

_MOT = "frame, track, x, y, w, h, whether it counts, class"
_KITTI = "type, 3 numbers, left, top, right, bottom, 7 or 8 numbers; in tracks behind frame and track"
_NOTHING = "dontcare"
"""KITTI's type of regions in which nothing was labelled."""


def read_mot(path: Path, name: str) -> list[Picture]:
    """Images of a file of tracks, ``gt.txt``: classes are numbers (-1: none), frames count from 1.

    A 0 in the seventh column marks a box that does not count.

    Args:
        path: the file.
        name: what images are called before their number.

    Raises:
        UserError: a line is no box.
    """
    boxes: list[tuple[int, DrawnBox]] = []
    for where, line in text_lines(path):
        numbers = read_numbers(line.replace(",", " ").split(), _MOT, where)
        if len(numbers) < 6 or not is_whole(numbers[0]):
            raise bad_line(_MOT, line, where)
        counts = len(numbers) < 7 or numbers[6] != 0
        label = numbers[7] if len(numbers) > 7 else -1.0
        if label != -1 and not is_whole(label):
            raise bad_line(_MOT, line, where)
        x, y, w, h = numbers[2:6]
        boxes.append((int(numbers[0]), DrawnBox(str(int(label)), x, y, w, h, counts)))
    return _by_frame(boxes, name, first=1)


def read_kitti(path: Path, name: str) -> list[Picture]:
    """Images of a file of tracks, whose lines begin with the frame's number; or the one image of a file of objects.

    Args:
        path: the file.
        name: of the image, or what images are called before their number.

    Raises:
        UserError: a line is no box.
    """
    boxes: list[tuple[int, DrawnBox]] = []
    for where, line in text_lines(path):
        words, frame = line.split(), -1
        if len(words) in (17, 18):
            number = read_numbers(words[:1], _KITTI, where)[0]
            if not is_whole(number):
                raise bad_line(_KITTI, line, where)
            words, frame = words[2:], int(number)
        if len(words) not in (15, 16):
            raise bad_line(_KITTI, line, where)
        x1, y1, x2, y2 = read_numbers(words[1:], _KITTI, where)[3:7]
        counts = words[0].casefold() != _NOTHING
        boxes.append((frame, DrawnBox(words[0], x1, y1, x2 - x1, y2 - y1, counts)))
    frames = {frame for frame, _ in boxes}
    if frames <= {-1}:
        return [Picture(name, tuple(box for _, box in boxes))]
    if -1 in frames:
        raise bad_line("lines of one length", "lines with and without a frame", str(path), "take these files apart")
    return _by_frame(boxes, name, first=0)


def _by_frame(boxes: Iterable[tuple[int, DrawnBox]], name: str, first: int) -> list[Picture]:
    frames: dict[int, list[DrawnBox]] = {}
    for frame, box in boxes:
        frames.setdefault(frame, []).append(box)
    return [Picture(f"{name}/{frame}", tuple(mine), first=first) for frame, mine in sorted(frames.items())]
