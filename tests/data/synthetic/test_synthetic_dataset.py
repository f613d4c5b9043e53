from __future__ import annotations

import json

import numpy as np
import pytest

from data.events.formats.dat import read_dat
from data.events.types import Events
from data.synthetic import dataset
from data.synthetic.config import TrafficConfig, WorldConfig
from data.synthetic.dataset import MANIFEST, make_dataset
from data.synthetic.preview import event_picture, luminance_picture, preview
from data.synthetic.recording import draw_scene, simulate
from data.synthetic.statistics import combine, measure, measure_folder
from utils.errors import UserError

TINY = WorldConfig(
    height=48,
    width=64,
    duration_s=0.3,
    num_train=2,
    num_val=1,
    num_test=0,
    min_side_px=2.0,
    traffic=TrafficConfig(cars_per_s=(10, 10), pedestrians_per_s=(10, 10)),
)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_a_folder_has_the_raw_layout_and_its_manifest(tmp_path):
    assert make_dataset(tmp_path / "raw", TINY, seed=0, num_workers=0) == 3
    assert sorted(contents(tmp_path / "raw")) == [
        "manifest.json",
        "train/train_0000_bbox.npy",
        "train/train_0000_td.dat",
        "train/train_0001_bbox.npy",
        "train/train_0001_td.dat",
        "val/val_0000_bbox.npy",
        "val/val_0000_td.dat",
    ]
    manifest = json.loads((tmp_path / "raw" / MANIFEST).read_text())
    assert manifest["world"]["height"] == 48
    assert manifest["seed"] == 0
    recording = simulate(TINY, 0, "train", 1)
    events = read_dat(tmp_path / "raw" / "train" / "train_0001_td.dat")
    np.testing.assert_array_equal(events.t, recording.events.t)
    np.testing.assert_array_equal(events.x, recording.events.x)


def test_processes_and_interruption_do_not_change_a_byte(tmp_path):
    make_dataset(tmp_path / "one", TINY, seed=1, num_workers=1)
    make_dataset(tmp_path / "two", TINY, seed=1, num_workers=2)
    whole = contents(tmp_path / "one")
    assert contents(tmp_path / "two") == whole
    (tmp_path / "two" / "val" / "val_0000_bbox.npy").unlink()
    (tmp_path / "two" / "train" / "train_0000_td.dat").unlink()
    assert make_dataset(tmp_path / "two", TINY, seed=1, num_workers=0) == 2
    assert contents(tmp_path / "two") == whole


def test_finished_recordings_are_left_alone(tmp_path, monkeypatch):
    make_dataset(tmp_path, TINY, seed=0, num_workers=0)
    monkeypatch.setattr(dataset, "simulate", lambda *_: pytest.fail("made again"))
    assert make_dataset(tmp_path, TINY, seed=0, num_workers=0) == 0


def test_other_settings_or_an_unknown_folder_are_refused(tmp_path):
    few = WorldConfig(height=48, width=64, duration_s=0.1, num_train=0, num_val=0, num_test=0)
    make_dataset(tmp_path / "raw", few, seed=0, num_workers=0)
    with pytest.raises(UserError, match="seed: 1 instead of 0"):
        make_dataset(tmp_path / "raw", few, seed=1, num_workers=0)
    with pytest.raises(UserError, match=r"world\.height: 64 instead of 48"):
        make_dataset(tmp_path / "raw", WorldConfig(height=64, width=64, duration_s=0.1), seed=0, num_workers=0)
    (tmp_path / "raw" / MANIFEST).write_text("{")
    with pytest.raises(UserError, match="manifest"):
        make_dataset(tmp_path / "raw", few, seed=0, num_workers=0)
    foreign = tmp_path / "foreign" / "train"
    foreign.mkdir(parents=True)
    (foreign / "a_td.dat").touch()
    with pytest.raises(UserError, match="without a manifest"):
        make_dataset(tmp_path / "foreign", few, seed=0, num_workers=0)
    with pytest.raises(UserError, match="num_workers"):
        make_dataset(tmp_path / "raw", few, seed=0, num_workers=-1)


def test_a_recording_that_fails_leaves_no_half_file(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(dataset, "write_bbox_npy", fail)
    with pytest.raises(OSError, match="disk full"):
        make_dataset(tmp_path, TINY, seed=0, num_workers=0)
    assert not list(tmp_path.rglob("*_bbox.npy"))
    assert not list(tmp_path.rglob(".*"))


def test_figures_of_a_folder_and_of_recordings_agree(tmp_path):
    make_dataset(tmp_path, TINY, seed=0, num_workers=0)
    parts = [simulate(TINY, 0, split, index) for split, index in (("train", 0), ("train", 1), ("val", 0))]
    expected = combine(measure(part.events, part.labels.boxes) for part in parts)
    figures = measure_folder(tmp_path)
    assert figures is not None
    assert figures.recordings == 3
    assert figures.lines() == expected.lines()
    assert figures.events_per_window.sum() == sum(len(part.events) for part in parts)
    assert any(line.startswith("pedestrian:") for line in figures.lines())
    assert measure_folder(tmp_path / "test") is None


def test_still_and_silent_boxes_are_counted():
    recording = simulate(TINY, 0, "train", 0)
    boxes = np.concatenate([recording.labels.boxes[:1]] * 3)
    boxes["t"] = [100_000, 150_000, 200_000]
    boxes["x"][2] += 4
    figures = measure(Events.empty(), boxes)
    assert figures.still.tolist() == [False, True, False]
    assert figures.silent.all()
    assert measure(Events.empty(), boxes[:0]).lines() == ["1 recordings, 0 boxes on 0 labelled frames"]


def test_pictures_show_events_and_boxes():
    recording = simulate(TINY, 0, "train", 0)
    boxes = recording.labels.boxes
    time = int(boxes["t"][0])
    bare = event_picture(recording.events, boxes[:0], 48, 64, time, zoom=2)
    drawn = event_picture(recording.events, boxes, 48, 64, time, zoom=2)
    assert bare.shape == (96, 128, 3)
    assert (bare != drawn).any()
    assert preview(recording.events, boxes, 48, 64, [100_000, 150_000]).dtype == np.uint8
    grey = luminance_picture(draw_scene(TINY, 0, "train", 0), boxes[:0], time, zoom=1)
    assert grey.shape == (48, 64, 3)
    assert np.ptp(grey) > 20
