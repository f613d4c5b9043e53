"""Archives of ten windows: found, read by the names of their fields, and stored with their events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.payloads.event_store import EventReader
from data.preprocessing.filters import filter_and_count
from data.preprocessing.layouts.registry import layout_of
from data.preprocessing.recordings import find_recordings
from tests.data.preprocessing.test_layouts import made, places, settings
from tests.helpers.golden_files import load_golden
from utils.errors import UserError

EVENTS = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])
BOXES = np.dtype(
    [
        *(("t", "<u8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4"), ("class_id", "u1")),
        *(("class_confidence", "<f4"), ("track_id", "<u4")),
    ]
)
START, WINDOW = 500_000, 50_000


def box(t: int, track: int, class_id: int = 2, xywh: tuple[float, ...] = (100, 100, 200, 100)) -> tuple[Any, ...]:
    return (t, *xywh, class_id, 1.0, track)


def write(root: Path, place: str, boxes: dict[int, list[tuple[Any, ...]]], empty: tuple[int, ...] = ()) -> None:
    """Twelve windows in two archives; ``boxes`` by window, ``empty`` windows are left out."""
    rng, (split, filelist, name) = np.random.default_rng(0), place.split("/")
    for part in range(2):
        events, labels = {}, {}
        for number in range(part * 10, min(part * 10 + 10, 12)):
            if number in empty:
                continue
            rows = np.zeros(50, EVENTS)
            rows["t"] = np.sort(rng.integers(START + number * WINDOW, START + (number + 1) * WINDOW, 50))
            rows["t"][0] = START + number * WINDOW
            rows["x"], rows["y"], rows["p"] = (
                rng.integers(0, 1280, 50),
                rng.integers(0, 720, 50),
                rng.integers(0, 2, 50),
            )
            events[f"e{number % 10}"] = rows
            labels[f"l{number % 10}"] = np.array(boxes.get(number, []), BOXES)
        for kind, letters, arrays in (("events", "ev", events), ("labels", "lb", labels)):
            folder = root / split / filelist / kind / name
            folder.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(folder / f"{letters}{part:03d}.npz", **arrays)


def test_windows_and_their_boxes_become_a_sequence(tmp_path: Path) -> None:
    first, last = START + 3 * WINDOW, START + 11 * WINDOW
    boxes = {
        3: [box(first + 5, 1), box(first + 30_000, 1), box(first + 30_000, 2, 6), box(first + 9, 3, 0, (5, 5, 30, 30))],
        11: [box(last + 7, 1, 4)],
    }
    for place in ("train/trainfilelist00/drive", "train/trainfilelist01/drive", "val/valfilelist00/other"):
        write(tmp_path, place, boxes, empty=(7,))
    cfg = settings("prophesee_dlut")
    jobs = find_recordings(tmp_path, tmp_path / "out", cfg, ("train", "val", "test"))
    assert places(jobs) == [("train", "trainfilelist00_drive"), ("train", "trainfilelist01_drive"), ("val", "other")]
    counts, rows = made(jobs[0])
    assert (counts.events, counts.raw_boxes) == (550, 4)
    assert rows["t"].tolist() == [first + WINDOW] * 2 + [last + WINDOW], "the end of the window"
    assert rows["class_id"].tolist() == [2, 6, 4]
    (path,) = jobs[0].out_dir.rglob("events.h5")
    reader = EventReader(path, half=True)
    assert reader.shape[1:] == (360, 640)
    windows = reader.read(0, len(reader)).windows
    sizes = [len(events) for events in windows]
    assert sizes[-12:] == [51] * 6 + [50, 1, 51, 51, 51, 50], "events on the edge of two windows are in both"
    assert max(int(events.t[-1]) for events in windows if len(events)) <= WINDOW


def test_boxes_are_cut_and_chosen_as_the_reference_does(tmp_path: Path) -> None:
    given = load_golden("11_dmanet")
    rows = np.zeros(len(given["lb0_t"]), BOXES)
    for name in ("t", "x", "y", "w", "h", "class_id"):
        rows[name] = given[f"lb0_{name}"]
    rows["track_id"] = np.arange(len(rows))
    odd = np.array([box(516_666, 90, 1, (-40, -10, 100, 90)), box(516_666, 91, 1, (0, 0, 1300, 90))], BOXES)
    np.savez(tmp_path / "lb000.npz", l0=np.concatenate([rows, odd]))
    boxes = layout_of("prophesee_dlut").read_boxes(tmp_path)
    kept, _ = filter_and_count(boxes, settings("prophesee_dlut"), "train")
    found = np.stack([kept["x"], kept["y"], kept["x"] + kept["w"], kept["y"] + kept["h"]], axis=1)
    found *= np.array([512 / 1280, 512 / 720] * 2)
    theirs = given["boxes0"][given["boxes0"][:, 4] >= 0]
    np.testing.assert_allclose(found[:-1], theirs[:, :4], atol=0.4)
    assert kept["class_id"][:-1].tolist() == theirs[:, 4].tolist()
    assert [float(kept[name][-1]) for name in "xywh"] == [0, 0, 60, 80]


def test_other_fields_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "lb000.npz", l0=np.zeros((3, 5)))
    with pytest.raises(UserError, match="with the fields t, x, y, w, h, class_id"):
        layout_of("prophesee_dlut").read_boxes(tmp_path)
