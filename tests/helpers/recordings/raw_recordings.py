"""Small raw folders for the tests of preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data.events.bbox import write_bbox_npy
from data.events.formats.dat import write_dat
from data.events.types import Events
from data.preprocessing.config import PreprocessConfig, RepresentationConfig
from utils.boxes import BBOX_DTYPE

HW = (32, 40)


def config(**more: Any) -> PreprocessConfig:
    """Small frames, a label every 50 ms."""
    values = {
        "sensor_hw": HW,
        "representation": RepresentationConfig(bins=2),
        "base_step_ms": 50.0,
        "num_raw_classes": 2,
    }
    return PreprocessConfig(**{**values, **more})


def boxes_at(times_us: Any) -> np.ndarray:
    """One box at each time."""
    boxes = np.zeros(len(times_us), dtype=BBOX_DTYPE)
    boxes["t"] = times_us
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 4, 5, 12, 10
    boxes["class_confidence"] = boxes["objectness"] = 1
    return boxes


def events_of(n: int = 4000, seed: int = 0, t_max: int = 1_000_000, start: int = 0) -> Events:
    """Random events on a sensor of ``HW``."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, t_max, n)) + start
    return Events.from_arrays(t, rng.integers(0, HW[1], n), rng.integers(0, HW[0], n), rng.integers(0, 2, n))


def every_ms(step: int, stop: int = 1000, start: int | None = None) -> np.ndarray:
    """Times in microseconds."""
    return np.arange(start or step, stop + 1, step, dtype=np.int64) * 1000


def make_raw(root: Path, splits: tuple[str, ...] = ("train", "val"), per_split: int = 2, labelled: bool = True) -> Path:
    """``*_td.dat`` and ``*_bbox.npy`` of one second; returns ``root``."""
    for place, split in enumerate(splits):
        (root / split).mkdir(parents=True)
        for index in range(per_split):
            write_dat(root / split / f"s{index}_td.dat", events_of(seed=index + 100 * place), *HW)
            boxes = boxes_at(every_ms(50)) if labelled else boxes_at([])
            write_bbox_npy(root / split / f"s{index}_bbox.npy", boxes)
    return root


def content(root: Path) -> dict[Path, bytes]:
    """Bytes of every file below a folder."""
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
