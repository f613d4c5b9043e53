"""Boxes inside an AEDAT4 recording (dv-processing)."""

from __future__ import annotations

from pathlib import Path

from data.box_files.picture import DrawnBox, Picture
from data.events.formats.aedat4.boxes import read_aedat4_boxes


def read_aedat4(path: Path, name: str) -> list[Picture]:
    """Boxes of a recording, each as an image of its own at its time.

    Args:
        path: the recording.
        name: what images are called before their own name.
    """
    boxes, labels = read_aedat4_boxes(path)
    pictures = []
    for index, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        drawn = DrawnBox(label, float(box["x"]), float(box["y"]), float(box["w"]), float(box["h"]))
        pictures.append(Picture(f"{name}/{index}", (drawn,), int(box["t"])))
    return pictures
