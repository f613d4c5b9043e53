"""Tiny folders in the layouts of published datasets, as they are downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from data.events.bbox import RAW_BBOX_DTYPE
from data.events.formats.evt_write import write_evt
from data.events.types import Events

TRACKS = np.dtype(
    [
        *(("t", "<u8"), ("x", "<f8"), ("y", "<f8"), ("h", "<f8"), ("w", "<f8")),
        *(("class_id", "u1"), ("class_confidence", "<f8"), ("track_id", "<u8")),
    ]
)
"""DSEC-Detection's: the height stands before the width."""

CARLA = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("pol", "?")])
CATEGORIES = ("car", "truck", "van", "pedestrian", "motorcycle", "bicycle")


def some_events(hw: tuple[int, int], n: int = 300, seed: int = 0, stop_us: int = 300_000) -> Events:
    """Events in order, from 0 to ``stop_us``, all over a sensor."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, stop_us + 1, n))
    t[0], t[-1] = 0, stop_us
    return Events.from_arrays(t, rng.integers(0, hw[1], n), rng.integers(0, hw[0], n), rng.integers(0, 2, n))


def write_dsec(root: Path, split: str, name: str, times_us: list[int], class_ids: list[int]) -> Path:
    """A recording of DSEC with a box of 40 x 30 pixels (w x h) at each time; returns its folder.

    Times are on a camera's clock that is ``t_offset`` ahead; the events have only 32 bits.
    """
    folder, offset = root / split / name, 57_134_000_000
    (folder / "events" / "left").mkdir(parents=True)
    (folder / "object_detections" / "left").mkdir(parents=True)
    events = some_events((480, 640))
    with h5py.File(folder / "events" / "left" / "events.h5", "w") as file:
        for column, kind in (("x", "u2"), ("y", "u2"), ("p", "u1"), ("t", "u4")):
            values = getattr(events, column).astype(kind)
            file.create_dataset(f"events/{column}", data=values, **hdf5plugin.Blosc(cname="zstd"))
        file["t_offset"] = np.int64(offset)
        file.attrs["name"] = name  # no two recordings are the same
        file["ms_to_idx"] = np.searchsorted(events.t, np.arange(301) * 1000).astype("u8")
    tracks = np.zeros(len(times_us), dtype=TRACKS)
    tracks["t"] = np.asarray(times_us) + offset
    tracks["x"], tracks["y"], tracks["h"], tracks["w"] = 100, 200, 30, 40
    tracks["class_id"], tracks["class_confidence"] = class_ids, 1
    np.save(folder / "object_detections" / "left" / "tracks.npy", tracks)
    return folder


def write_etram(folder: Path, boxes_folder: Path, name: str, times_us: list[int], class_ids: list[int]) -> None:
    """A recording of eTraM as HDF5, in which one event lies far below the sensor."""
    folder.mkdir(parents=True, exist_ok=True)
    boxes_folder.mkdir(parents=True, exist_ok=True)
    events = some_events((720, 1280))
    events.y[150] = 33014  # a bit too many, as in train_day_0024
    with h5py.File(folder / f"{name}_td.h5", "w") as file:
        for column, kind in (("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")):
            file[f"events/{column}"] = getattr(events, column).astype(kind)
    boxes = np.zeros(len(times_us), dtype=RAW_BBOX_DTYPE)
    boxes["t"], boxes["class_id"], boxes["class_confidence"] = times_us, class_ids, 1
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 300, 200, 80, 60
    np.save(boxes_folder / f"{name}_bbox.npy", boxes)


def write_sevd(folder: Path, frames: int = 3, first: int = 4711, prefix: str = "dvs-") -> None:
    """Frames of SEVD, 100 ms each, with one box of a category of its own each; the second frame has no events."""
    folder.mkdir(parents=True)
    for index in range(frames):
        events, number = some_events((960, 1280), 100, index, 100_000), first + index
        rows = np.zeros(0 if index == 1 else len(events), dtype=CARLA)
        for column, values in (("x", events.x), ("y", events.y), ("pol", events.p)):
            rows[column] = values[: len(rows)]
        rows["t"] = 1000 * (events.t[: len(rows)] + 100_000 * index) + 999  # ns
        np.savez_compressed(folder / f"{prefix}{number}-xytp.npz", dvs_events=rows)
        content = {
            "images": [{"id": number, "file_name": f"{prefix}{number}.png", "width": 1280, "height": 960}],
            "annotations": [
                {
                    "id": 90 + index,
                    "image_id": number,
                    "category_id": 1 + index % 6,
                    "bbox": [500, 400, 60, 50],
                    "area": 3000,
                    "iscrowd": 0,
                    "segmentation": [],
                }
            ],
            "categories": [{"id": place, "name": name} for place, name in enumerate(CATEGORIES, 1)],
        }
        (folder / f"{prefix}{number}.json").write_text(json.dumps(content, indent=4))
        if prefix:  # what the colour camera saw: boxes without events, too
            content["annotations"] *= 2
            (folder / f"{number}.json").write_text(json.dumps(content, indent=4))


def write_fred(folder: Path, start_us: int = 0) -> None:
    """A recording of FRED whose camera's clock began at ``start_us``; both files of boxes."""
    (folder / "Event").mkdir(parents=True)
    events = some_events((720, 1280))
    shifted = Events(t=events.t + start_us, x=events.x, y=events.y, p=events.p)
    write_evt(folder / "Event" / "events.raw", shifted, 720, 1280, "EVT3")
    lines = [f"{index / 30:.6f}: 673.5, 315.0, 710.5, 340.0, 1.0" for index in range(9)]
    (folder / "interpolated_coordinates.txt").write_text("\n".join(lines) + "\n")
    (folder / "coordinates.txt").write_text("0.0: 673.0, 315.0, 710.0, 340.0\n")


def write_ev_uav(path: Path) -> None:
    """A recording of EV-UAV: noise and two targets, the second only in the second half; times are ms."""
    noise = some_events((260, 346), 200)
    dtype = [("x", "<i2"), ("y", "<i2"), ("t", "<f8"), ("p", "i1"), ("label", "i1"), ("name", "i1")]
    rows = np.zeros(200 + 60 + 30, dtype=dtype)
    for name in ("x", "y", "p"):
        rows[name][:200] = getattr(noise, name)
    rows["t"][:200] = noise.t / 1000
    for name, first, count, start_ms in ((1, 200, 60, 0.5), (2, 260, 30, 150.5)):
        mine, number = rows[first : first + count], np.arange(count)
        mine["t"], mine["label"], mine["name"] = start_ms + 5 * number, 1, name
        mine["x"], mine["y"] = 100 * name + number % 7, 50 * name + number % 5
    rows = rows[np.argsort(rows["t"], kind="stable")]
    path.parent.mkdir(parents=True, exist_ok=True)
    location = np.stack([rows["x"], rows["y"], rows["t"].astype("i8")], axis=1)
    shares = [location / np.maximum(location.max(axis=0), 1), *(rows[name][:, None] for name in ("p", "label", "name"))]
    np.savez_compressed(path, evs_norm=np.concatenate(shares, axis=1), ev_loc=location, ev=rows)
