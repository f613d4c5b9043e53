"""Downloaded datasets: their recordings are found and read where they lie, by their config alone."""

from __future__ import annotations

import re

import hydra
import numpy as np
import pytest

from config.resolvers import register_resolvers
from data.events.open import open_recording
from data.preprocessing.classes import map_classes
from data.preprocessing.filters import filter_and_count
from data.preprocessing.job import Failure, run_job
from data.preprocessing.layouts.fred import TIME_HIGH_US
from data.preprocessing.layouts.registry import layout_names, layout_of
from data.preprocessing.recordings import check_classes, find_recordings
from data.sequences.layout import SequencePaths, read_labels
from scripts.preprocess_dataset import build_config
from tests.helpers.recordings.downloads import write_dsec, write_etram, write_ev_uav, write_fred, write_sevd
from tests.helpers.recordings.raw_recordings import boxes_at, config
from utils.commands.cli import CONFIG_DIR
from utils.errors import UserError
from utils.settings import plain

EVERY_50_MS = [50_000, 100_000, 150_000, 200_000, 250_000]

register_resolvers()


def settings(dataset, *overrides):
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("preprocess", overrides=[f"dataset={dataset}", "raw_path=raw", *overrides])
    return build_config(plain(cfg.dataset))


def places(jobs):
    return [(job.split, job.out_dir.name) for job in jobs]


def made(job):
    """Counts, and the labels of the sequence."""
    counts = run_job(job)
    assert not isinstance(counts, Failure), counts
    paths = SequencePaths(job.out_dir, job.cfg.representation.build().name, job.cfg.downsample_by_factor_2)
    return counts, read_labels(paths).boxes


def test_a_layout_is_a_file():
    assert layout_names() == ["beside", "dsec", "etram", "ev_uav", "fred", "prophesee_dlut", "sevd"]
    with pytest.raises(UserError, match="beside, dsec"):
        layout_of("base")


def test_dsec_is_read_as_downloaded(tmp_path):
    for name in ("zurich_city_00_a", "zurich_city_16_a"):
        write_dsec(tmp_path, "train", name, EVERY_50_MS, [0, 2, 2, 7, 1])
    write_dsec(tmp_path, "test", "thun_02_a", [100_000], [3])
    cfg = settings("dsec_det")
    jobs = find_recordings(tmp_path, tmp_path / "out", cfg)
    assert places(jobs) == [("train", "zurich_city_00_a"), ("val", "zurich_city_16_a"), ("test", "thun_02_a")]
    check_classes(jobs, cfg)
    counts, boxes = made(jobs[0])
    assert (counts.events, counts.raw_boxes, counts.dropped["before align_t_ms"]) == (300, 5, 1)
    assert boxes["class_id"].tolist() == [2, 2, 7, 1]
    assert [boxes[name][0] for name in "xywh"] == [100, 200, 40, 30]
    assert np.diff(boxes["t"]).tolist() == [50_000] * 3


def test_classes_of_dsec_that_are_not_wanted_are_counted(tmp_path):
    write_dsec(tmp_path, "train", "thun_00_a", EVERY_50_MS, [0, 2, 2, 7, 1])
    cfg = settings("dsec_det", "dataset.classes=[pedestrian,car]", "dataset.preprocessing.class_ids={0:0,2:1}")
    (job,) = find_recordings(tmp_path, tmp_path / "out", cfg)
    counts, boxes = made(job)
    assert counts.dropped["other class"] == 2
    assert boxes["class_id"].tolist() == [1, 1]


def test_etram_is_found_by_name_and_one_event_far_below_goes(tmp_path):
    raw = tmp_path / "Static"
    write_etram(raw / "HDF5", raw / "Annotations", "train_day_0024", [100_000, 200_000], [1, 7])
    write_etram(raw / "HDF5" / "val_2", raw / "HDF5" / "val_2", "val_night_011", [100_000], [4])
    (raw / "RAW").mkdir()
    (raw / "RAW" / "train_day_0024.raw").write_bytes(b"the same in another format")
    jobs = find_recordings(raw, tmp_path / "out", settings("etram"))
    assert places(jobs) == [("train", "train_day_0024"), ("val", "val_night_011")]
    counts, boxes = made(jobs[0])
    assert counts.repaired == {"outside": 1}
    assert open_recording(jobs[0].recording).height <= 720  # nor does it say how large the sensor is
    assert boxes["class_id"].tolist() == [1, 7]


def test_the_published_classes_of_etram():
    raw = boxes_at(np.arange(8) * 1000)
    raw["class_id"] = np.arange(8)
    kept, dropped = filter_and_count(raw, settings("etram_3"), "val")
    assert kept["class_id"].tolist() == [0, 2, 1, 1]
    assert kept["t"].tolist() == [0, 1000, 2000, 4000]
    assert dropped["other class"] == 4


@pytest.mark.parametrize(("prefix", "inner"), [("dvs-", ""), ("", "npz")])
def test_archives_of_a_frame_each_are_one_recording(tmp_path, prefix, inner):
    home = tmp_path / "raw" / "val" / "ego0" / "dvs_camera-front"
    write_sevd(home, prefix=prefix)
    if inner:
        (home / inner).mkdir()
        for path in home.glob("*.npz"):
            path.rename(home / inner / path.name)
    jobs = find_recordings(tmp_path / "raw", tmp_path / "out", settings("sevd"))
    assert places(jobs) == [("val", "ego0_dvs_camera-front")]
    assert jobs[0].num_bytes > 1000
    counts, boxes = made(jobs[0])
    assert (counts.events, counts.raw_boxes) == (200, 3)
    assert boxes["t"].tolist() == [100_000, 200_000, 300_000]  # between its neighbours for the frame without events
    assert boxes["class_id"].tolist() == [0, 1, 2]


def test_archives_without_box_files_say_which_is_missing(tmp_path):
    home = tmp_path / "raw" / "dvs_camera"
    write_sevd(home, frames=1)
    (home / "dvs-4711.json").unlink()
    with pytest.raises(UserError, match=r"boxes of dvs_camera\s+got:\s+no dvs-4711\.json"):
        find_recordings(tmp_path / "raw", tmp_path / "out", settings("sevd"))


@pytest.mark.parametrize("start_us", [0, 3900 * TIME_HIGH_US])
def test_drones_are_labelled_from_the_start_of_the_stream(tmp_path, start_us):
    for name in ("0", "7"):
        write_fred(tmp_path / name, start_us)
    jobs = find_recordings(tmp_path, tmp_path / "out", settings("fred", "dataset.preprocessing.recordings.val=[7]"))
    assert places(jobs) == [("train", "0"), ("val", "7")]
    counts, boxes = made(jobs[0])
    assert counts.raw_boxes == 9
    assert counts.clock_us + boxes["t"][-1] == start_us + 266_667
    assert [boxes[name][0] for name in "xywh"] == [673.5, 315, 37, 25]


def test_boxes_are_drawn_around_the_events_of_targets(tmp_path):
    write_ev_uav(tmp_path / "test" / "test_000.npz")
    (job,) = find_recordings(tmp_path, tmp_path / "out", settings("ev_uav"))
    counts, boxes = made(job)
    assert (counts.events, counts.raw_boxes) == (290, 6 + 3)
    assert boxes["t"].tolist() == [50_000, 100_000, 150_000, *np.repeat([200_000, 250_000, 300_000], 2)]
    first, second = boxes[-2:]
    assert [first[name] for name in "xywh"] == [100, 50, 7, 5]
    assert [second[name] for name in "xywh"] == [200, 100, 7, 5]


@pytest.mark.parametrize("times", [np.nan, 1e300])
def test_times_that_are_none_are_user_errors(tmp_path, times):
    write_ev_uav(tmp_path / "test_000.npz")
    with np.load(tmp_path / "test_000.npz") as archive:
        events = archive["ev"]
    events["t"][7] = times
    np.savez(tmp_path / "test_000.npz", ev=events)
    with pytest.raises(UserError, match="of event number 7"):
        layout_of("ev_uav").read_boxes(tmp_path / "test_000.npz")


def test_columns_of_a_text_go_by_their_names(tmp_path):
    path = tmp_path / "coordinates.txt"
    path.write_text("id, x2, y2, time, x1, y1\n\n1, 30, 40, 0.5, 10, 15\n")
    (box,) = layout_of("fred").read_boxes(path)
    assert [box[name] for name in ("t", "x", "y", "w", "h")] == [500_000, 10, 15, 20, 25]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("0.1: 1, 2, 3\n", "line 1"),
        ("0.1: 1, 2, 3, 4\n\n0.2: 1, 2, 3, wide", "line 3"),
        ("-1: 1, 2, 3, 4", "line 1"),
        ("nan: 1, 2, 3, 4", "line 1"),
        ("time, x1, y1, w, h\n", "x2, y2 missing"),
        ("\0\xff", "line 1"),
    ],
)
def test_text_that_holds_no_boxes_is_a_user_error(tmp_path, text, where):
    path = tmp_path / "coordinates.txt"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=where if "\xff" not in text else "utf-8"):
        layout_of("fred").read_boxes(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dvs-1-xytp.npz", b"PK no archive"),
        ("dvs-1.json", b"[1]"),
        ("dvs-1.json", b'{"annotations": [{"bbox": [1, 2, 3], "category_id": 1}]}'),
        ("dvs-1.json", b'{"annotations": [{"bbox": [1, 2, 3, 4], "category_id": "car"}]}'),
        ("dvs-1.json", b'{"annotations": [{"bbox": [1, 2, 3, 1' + b"0" * 400 + b'], "category_id": 1}]}'),
    ],
)
def test_damaged_frames_are_user_errors(tmp_path, name, content):
    write_sevd(tmp_path / "a", frames=1, first=1)
    (tmp_path / "a" / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(name)):
        layout_of("sevd").read_boxes(tmp_path / "a")


def test_an_archive_of_other_numbers_is_a_user_error(tmp_path):
    np.savez(
        tmp_path / "1-xytp.npz", dvs_events=np.zeros(3, dtype=[("x", "f4"), ("y", "f4"), ("t", "i8"), ("pol", "?")])
    )
    with pytest.raises(UserError, match="uint16"):
        layout_of("sevd").open(tmp_path, (960, 1280))


def test_recordings_that_are_listed_and_missing_are_named(tmp_path, caplog):
    write_dsec(tmp_path, "train", "zurich_city_16_a", [100_000], [0])
    jobs = find_recordings(tmp_path, tmp_path / "out", settings("dsec_det"), ["val"])
    assert places(jobs) == [("val", "zurich_city_16_a")]
    assert "zurich_city_17_a, zurich_city_18_a" in caplog.text


@pytest.mark.parametrize("layout", ["dsec", "etram", "ev_uav", "fred", "prophesee_dlut", "sevd"])
def test_a_folder_without_recordings_says_what_was_looked_for(tmp_path, layout):
    with pytest.raises(UserError, match=r"recordings \(SPLIT"):
        find_recordings(tmp_path, tmp_path / "out", config(layout=layout))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_ids", "[0,1,2,3,4,5,6,8]"),
        ("class_ids", "[-1]"),
        ("class_ids", "7"),
        ("class_ids", "{a:0}"),
        ("recordings.val", "zurich"),
        ("layout", "elsewhere"),
    ],
)
def test_impossible_values_are_user_errors(tmp_path, key, value):
    with pytest.raises(UserError, match=rf"dataset\.preprocessing\.{key.split('.')[0]}"):
        find_recordings(tmp_path, tmp_path / "out", settings("dsec_det", f"dataset.preprocessing.{key}={value}"))


def test_records_name_a_layout_and_classes_only_where_they_are_not_the_usual_ones():
    assert not {"layout", "recordings", "class_ids"} & set(config().settings())
    record = settings("sevd").settings()
    assert (record["layout"], record["class_ids"]["6"], "recordings" in record) == ("sevd", 5, False)


def test_mapping_keeps_order_and_the_boxes_it_was_given():
    boxes = boxes_at([3, 1, 2])
    boxes["class_id"] = [5, 0, 5]
    mapped = map_classes(boxes, {5: 1})
    assert (mapped["t"].tolist(), mapped["class_id"].tolist()) == ([3, 2], [1, 1])
    assert boxes["class_id"].tolist() == [5, 0, 5]
