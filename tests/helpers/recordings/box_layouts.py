"""The same boxes in every layout that is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

RATE_HZ = 30
CLASSES = ("pedestrian", "bicycle", "dog")
HW = (260, 346)


class Box(NamedTuple):
    """A box on an image; its class is a number, as the names of ``CLASSES`` go."""

    frame: int
    class_id: int
    x: float
    y: float
    w: float
    h: float


def some_boxes(frames: int = 4) -> list[Box]:
    """Two boxes an image, in quarters of pixels."""
    return [Box(n, (n + k) % 3, 20.25 + 9 * n + 80 * k, 30.5 + k, 41.75, 33.0) for n in range(frames) for k in range(2)]


def time_us(frame: int) -> int:
    """When an image was taken."""
    return round(frame * 1e6 / RATE_HZ)


def write_csv(path: Path, boxes: Sequence[Box], names: Sequence[str] = CLASSES) -> Path:
    """A table with times and names."""
    lines = [f"{time_us(b.frame)},{b.x},{b.y},{b.w},{b.h},{names[b.class_id]}" for b in boxes]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["t,x,y,w,h,class", *lines]) + "\n")
    return path


def coco(recordings: dict[str, Sequence[Box]], first_id: int = 1) -> dict[str, list[dict[str, object]]]:
    """COCO of images ``NAME/000001.png``."""
    names = [(name, frame) for name, boxes in recordings.items() for frame in sorted({box.frame for box in boxes})]
    ids = {place: index for index, place in enumerate(names)}
    size = {"height": HW[0], "width": HW[1]}
    images = [{"id": ids[place], "file_name": f"{place[0]}/{place[1]:06d}.png", **size} for place in names]
    annotations = [
        {"image_id": ids[name, b.frame], "category_id": b.class_id + first_id, "bbox": [b.x, b.y, b.w, b.h]}
        for name, boxes in recordings.items()
        for b in boxes
    ]
    categories = [{"id": index + first_id, "name": name} for index, name in enumerate(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(path: Path, recordings: dict[str, Sequence[Box]]) -> Path:
    """One file for all recordings."""
    path.write_text(json.dumps(coco(recordings)))
    return path


def write_yolo(root: Path, recordings: dict[str, Sequence[Box]]) -> Path:
    """A file an image, shares with six digits as most tools write them, and the names of the classes."""
    for name, boxes in recordings.items():
        for b in boxes:
            shares = (b.x + b.w / 2) / HW[1], (b.y + b.h / 2) / HW[0], b.w / HW[1], b.h / HW[0]
            _append(root / f"{name}_{b.frame:06d}.txt", " ".join([f"{b.class_id}", *(f"{s:.6f}" for s in shares)]))
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return root


def write_voc(root: Path, recordings: dict[str, Sequence[Box]]) -> Path:
    """A file an image."""
    for name, boxes in recordings.items():
        for frame in {box.frame for box in boxes}:
            objects = "".join(
                f"<object><name>{CLASSES[b.class_id]}</name><bndbox><xmin>{b.x}</xmin><ymin>{b.y}</ymin>"
                f"<xmax>{b.x + b.w}</xmax><ymax>{b.y + b.h}</ymax></bndbox></object>"
                for b in boxes
                if b.frame == frame
            )
            size = f"<size><width>{HW[1]}</width><height>{HW[0]}</height></size>"
            _append(root / name / f"{frame:06d}.xml", f"<annotation>{size}{objects}</annotation>")
    return root


def write_mot(root: Path, recordings: dict[str, Sequence[Box]]) -> Path:
    """``NAME/gt/gt.txt``: frames and classes count from 1."""
    for name, boxes in recordings.items():
        for b in boxes:
            line = f"{b.frame + 1},{b.class_id + 1},{b.x},{b.y},{b.w},{b.h},1,{b.class_id + 1},1"
            _append(root / name / "gt" / "gt.txt", line)
    return root


def write_kitti(root: Path, recordings: dict[str, Sequence[Box]]) -> Path:
    """A file of tracks a recording."""
    for name, boxes in recordings.items():
        for b in boxes:
            corners = f"{b.x} {b.y} {b.x + b.w} {b.y + b.h}"
            line = f"{b.frame} {b.class_id} {CLASSES[b.class_id].title()} 0 0 -1.5 {corners} 1 1 1 0 0 0 0"
            _append(root / f"{name}.txt", line)
    return root


WRITERS: dict[str, Callable[[Path, dict[str, Sequence[Box]]], Path]] = {
    "coco": lambda path, boxes: write_coco(path / "labels.json", boxes),
    "yolo": write_yolo,
    "voc": write_voc,
    "mot": write_mot,
    "kitti": write_kitti,
}
"""By layout: write boxes into an empty folder; returns what to read."""


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(line + "\n")


def write_recording(folder: Path, name: str, seed: int, frames: int) -> list[Box]:
    """``NAME.npz``: three things drift over a sensor of ``HW``; returns their boxes from the third image on."""
    rng = np.random.default_rng(seed)
    sizes = np.array([[30, 70], [60, 40], [34, 20]])
    start, speed = rng.uniform(20, 120, (3, 2)), rng.uniform(5, 60, (3, 2))
    times = np.array([time_us(frame) for frame in range(3, frames)])
    count = 600 * frames
    t = np.sort(rng.integers(0, times[-1] + 10_000, count))
    which = rng.integers(0, 3, count)
    place = start[which] + speed[which] * t[:, None] / 1e6 + rng.uniform(0, 1, (count, 2)) * sizes[which]
    x, y = (np.clip(place[:, side], 0, HW[1 - side] - 1).astype(np.uint16) for side in (0, 1))
    folder.mkdir(parents=True, exist_ok=True)
    polarity = rng.integers(0, 2, count).astype(np.uint8)
    np.savez(folder / f"{name}.npz", t=t, x=x, y=y, p=polarity, height=HW[0], width=HW[1])
    corners = np.round(start[None] + speed[None] * times[:, None, None] / 1e6, 2)
    places = ((frame, k) for frame in range(3, frames) for k in range(3))
    return [Box(frame, k, *corners[frame - 3, k].tolist(), *sizes[k].tolist()) for frame, k in places]
