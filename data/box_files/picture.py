"""What every layout says in its own way: which boxes were drawn on which image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

_SUFFIX = re.compile(r"(_bbox)?\.(png|jpe?g|bmp|tiff?|webp|ppm|npy|csv|json|txt|xml)$", re.IGNORECASE)
_NUMBER = re.compile(r"(\d{1,18})$", re.ASCII)


class DrawnBox(NamedTuple):
    """A box of an image.

    Attributes:
        label: name of its class, or its number as text.
        x, y, w, h: top-left corner and size, pixels.
        counts: False if the file itself says that the box is to be passed over.
        named: False if the label is a number that the file names no class for, though its layout has names.
    """

    label: str
    x: float
    y: float
    w: float
    h: float
    counts: bool = True
    named: bool = True


@dataclass(frozen=True)
class Picture:
    """An image with all boxes that were drawn on it.

    Attributes:
        name: path of the image as the file tells it, behind that of the file, with ``/``.
        boxes: possibly none.
        time_us: when it was taken, if the file says so.
        hw: its height and width in pixels, if the file says so.
        first: number of the first image in this layout.
    """

    name: str
    boxes: tuple[DrawnBox, ...]
    time_us: int | None = None
    hw: tuple[int, int] | None = None
    first: int = 0

    @property
    def stem(self) -> str:
        """The name without the folders and the ending.

        >>> Picture("labels/drive/frame_0012.png", ()).stem
        'frame_0012'
        """
        return without_ending(PurePosixPath(self.name).name)

    @property
    def number(self) -> int | None:
        """The number that its name ends with.

        >>> Picture("labels/drive/frame_0012.png", ()).number
        12
        """
        found = _NUMBER.search(self.stem)
        return int(found[1]) if found else None

    @property
    def series(self) -> str:
        """What its name shares with the other images of its recording.

        >>> Picture("labels/drive/frame_0012.png", ()).series
        'labels/drive/frame_'
        """
        return _NUMBER.sub("", without_ending(self.name))

    def owners(self) -> list[str]:
        """What its recording may be called, the longest first: as one of the folders, or as its name begins.

        >>> Picture("labels/drive_2_0012.png", ()).owners()
        ['drive_2_0012', 'drive_2', 'labels', 'drive']
        """
        stem = self.stem
        beginnings = [stem[: cut.start()] for cut in re.finditer(r"[_\-. ]", stem)]
        return sorted({*PurePosixPath(self.name).parts[:-1], stem, *beginnings}, key=lambda name: (-len(name), name))


def without_ending(name: str) -> str:
    """A name without the ending of a file of images or boxes; other points stay.

    >>> without_ending("drive.2_0012.png"), without_ending("drive_bbox.csv")
    ('drive.2_0012', 'drive')
    """
    return _SUFFIX.sub("", name)
