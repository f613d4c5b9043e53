"""Labels that come when they come: jitter, drift, gaps, rates; clocks that do not begin at 0; what becomes of boxes."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.events.bbox import write_bbox_npy
from data.events.clocks import compare_clocks
from data.events.recording import ArrayRecording
from data.preprocessing.dataset import preprocess_dataset
from data.preprocessing.manifest import MANIFEST
from data.preprocessing.pool import run_jobs
from data.preprocessing.sequence import count_off, join_frames, plan_sequence, preprocess_recording
from data.preprocessing.timing import group_times
from data.sequences.account import EARLY, OFF_GRID, account_of, loss_warning
from data.sequences.layout import SequencePaths, read_labels
from data.sequences.record import SequenceCounts
from scripts.drawings.label_times import cases, picture, planned
from tests.helpers.commands import REPOSITORY
from tests.helpers.recordings.raw_recordings import boxes_at, config, events_of, every_ms, make_raw
from utils.boxes import IGNORE_LABEL
from utils.errors import UserError

NAME = "stacked_histogram_dt=50_nbins=2"


def nearest(**more):
    return config(**{"label_times": "nearest", "align_t_ms": 0, **more})


def written(tmp_path, times, start=0, cfg=None, boxes=None):
    recording = ArrayRecording("a", events_of(start=start, t_max=2_000_000))
    boxes = boxes_at(times) if boxes is None else boxes
    counts = preprocess_recording(recording, boxes, tmp_path / "a", cfg or nearest(), "train")
    return counts, SequencePaths(tmp_path / "a", NAME)


@pytest.mark.parametrize("title", list(cases()))
def test_nearest_keeps_every_label_time_and_its_windows_end_there(title):
    times = cases()[title]
    plan = planned(times, "nearest")
    np.testing.assert_array_equal(plan.label_times_us, times)
    np.testing.assert_array_equal(plan.ends_us[plan.objframe_idx_2_repr_idx], times)
    assert np.diff(plan.ends_us).max() < 75_000


def test_the_picture_on_the_page_is_what_the_rules_do():
    assert (REPOSITORY / "docs" / "images" / "label_times.svg").read_text() == picture()


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.integers(3_000, 400_000), min_size=1, max_size=30), spread=st.integers(0, 2000))
def test_no_label_is_lost_whatever_the_distances(steps, spread):
    times = np.cumsum(steps)
    boxes = boxes_at(np.concatenate([times, times + spread]))
    boxes["class_id"][len(times) :] = 1
    joined, twice = join_frames(boxes, nearest())
    plan = plan_sequence(joined, nearest(), int(times[-1]) + spread)
    assert twice == 0
    assert not count_off(joined, plan, nearest(), int(times[-1]) + spread, 0)
    assert (np.diff(plan.ends_us) > 0).all()
    if min(steps[1:], default=5000) > 2000 + spread:
        np.testing.assert_array_equal(plan.label_times_us, times + spread)


def test_boxes_of_a_frame_get_its_time_and_a_box_is_kept_once(tmp_path):
    boxes = boxes_at([500_000, 500_001, 500_001, 700_000])
    boxes["class_id"] = [0, 1, 1, 0]
    counts, paths = written(tmp_path, None, boxes=boxes)
    labels = read_labels(paths)
    assert labels.boxes["t"].tolist() == [500_001, 500_001, 700_000]
    assert labels.boxes["class_id"].tolist() == [0, 1, 0]
    assert counts.dropped["twice in a frame"] == 1
    assert counts.raw_boxes == counts.boxes + sum(counts.dropped.values())


@pytest.mark.parametrize("start", [0, 400_000, 600_900_000, 1_672_932_172_785_744])
def test_windows_begin_with_the_first_event_whatever_the_clock(tmp_path, start):
    counts, paths = written(tmp_path, every_ms(50, stop=1500) + start, start=start)
    assert counts.boxes == 30
    ends = np.load(paths.frame_timestamps)
    assert counts.clock_us == start // 1_000_000 * 1_000_000
    assert ends[0] + counts.clock_us == 50_000 + start
    with h5py.File(paths.h5) as file:
        assert all(file["data"][index].any() for index in range(len(ends)))


def test_the_published_rule_writes_no_hours_of_nothing_either(tmp_path):
    start = 600_000_000
    counts, _ = written(tmp_path, every_ms(250, stop=1900) + start, start=start, cfg=config(base_step_ms=250))
    assert counts.frames < 40
    assert start <= counts.clock_us < start + 10_000


def test_labels_beside_the_events_are_dropped_counted_and_warned_of(tmp_path, caplog):
    counts, _ = written(tmp_path, every_ms(100, stop=2600) + 600_000_000, start=600_400_000)
    assert counts.dropped["before the first event"] == 4
    assert counts.dropped["after the last event"] == 2
    assert counts.boxes == counts.raw_boxes - 6
    assert "3 before the first event and 2 after the last event, of 26 labels" in caplog.text  # one within a window


@pytest.mark.parametrize(
    ("labels", "first", "says"),
    [
        (every_ms(50), 11_194_368, "add about 11.194 s"),
        (every_ms(50), 36_607_300_656, "add about 36607.301 s"),
        (every_ms(50) + 600_000_000, 0, "subtract about 600.050 s"),
        (every_ms(50) // 1000, 0, "labels in ms"),
        (every_ms(1000, stop=60_000) // 1_000_000, 0, "labels in s"),
        (every_ms(50) * 1000, 0, "labels in ns"),
        (every_ms(50) * 1_000_000, 50_000_000_000, "events in s"),
    ],
)
def test_the_reason_of_two_clocks_is_told(labels, first, says):
    length = 60_000_000 if "in s" in says and "labels" in says else 2_000_000
    if says == "events in s":
        first, length = 0, 2_000_000
    problem = compare_clocks(labels, first, first + length, 50_000)
    assert problem is not None
    assert problem.wholly
    assert says in problem.reason


@pytest.mark.parametrize(
    ("labels", "first", "says"),
    [
        (np.arange(33, 89) * 100_000 // 3, 8, "labels are later than events by about 0.93 s"),
        (np.arange(33, 89) * 100_000 // 3, 300_008, "labels are later than events by about 0.63 s"),
        (np.arange(1, 40) * 50_000 + 599_000_000, 600_000_000, "add about 0.950 s to"),
        (np.arange(1, 40) * 50_000, 500_000, "add about 0.500 s to"),
        (np.arange(2, 44) * 50_000 - 600_000, 0, "labels are earlier than events by about 0.50 s"),
        (np.arange(2, 46) * 46_000, 8, "check that boxes and events belong together"),  # a recording that ends early
    ],
)
def test_labels_beside_the_events_get_advice_that_would_help_or_none(labels, first, says):
    problem = compare_clocks(labels, first, first + 2_000_000, 50_000)
    assert problem is not None
    assert says in problem.reason
    assert " 0.000 s" not in problem.reason


def form_of_lines(_: object) -> str:
    """How lines are written where this runs, if they are."""
    formatter = logging.getLogger().handlers[0].formatter if logging.getLogger().handlers else None
    return formatter.format(logging.makeLogRecord({"levelname": "WARNING", "msg": "late labels"})) if formatter else ""


def test_worker_processes_say_things_as_commands_do():
    for _, line in run_jobs(form_of_lines, [1, 2], 2):
        assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING late labels", line)


@pytest.mark.parametrize("labels", [[], [40_000], [10_000, 40_000], np.arange(1, 60) * 16_667])
def test_labels_of_the_first_second_of_an_hour_are_no_problem(labels):
    assert compare_clocks(np.asarray(labels, dtype=np.int64), 0, 3_600_000_000, 50_000) is None


def test_every_box_is_in_the_table_and_the_worst_are_named(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    raw = make_raw(tmp_path / "raw", splits=("train",))
    boxes = boxes_at(every_ms(50) + np.arange(20) * 700)
    boxes["w"][3], boxes["x"][4] = np.nan, 900
    write_bbox_npy(raw / "train" / "s1_bbox.npy", boxes)
    (rows,) = preprocess_dataset(raw, tmp_path / "out", config(align_t_ms=0)).values()
    account = account_of(rows)
    assert account.read == 40 == account.kept + sum(account.dropped.values())
    assert account.dropped["without numbers or size"] == account.dropped["outside"] == 1
    assert account.dropped[OFF_GRID] > 5
    assert "boxes without finite numbers or size, to be dropped: 1 of 20" in caplog.text
    assert f"train: {100 * account.share():.1f} % of 40 boxes were dropped: " in caplog.text
    assert f"most in s1 ({account.read - account.kept} of 20)" in caplog.text
    counts = json.loads((tmp_path / "out" / MANIFEST).read_text())["splits"]["train"]["sequences"]["s1"]["counts"]
    assert counts["dropped"]["outside"] == 1
    assert loss_warning("train", rows[:1], 0) is None


def test_early_labels_are_told_with_the_key_that_drops_them():
    warning = loss_warning("val", [SequenceCounts("a", boxes=17, raw_boxes=20, dropped={EARLY: 3})], 100.0)
    assert warning is not None
    assert "3 before align_t_ms; most in a (3 of 20); dataset.preprocessing.align_t_ms=100 leaves out labels" in warning


def test_bad_recordings_are_told_once_each_and_then_by_name(tmp_path, caplog):
    raw = make_raw(tmp_path / "raw", splits=("train", "val"))
    for name in ("s0", "s1"):
        write_bbox_npy(raw / "train" / f"{name}_bbox.npy", boxes_at(every_ms(50) // 1000))
        write_bbox_npy(raw / "val" / f"{name}_bbox.npy", boxes_at(every_ms(50) // 1000))
    with caplog.at_level(logging.INFO), pytest.raises(UserError) as refused:
        preprocess_dataset(raw, tmp_path / "out", config(), splits=["train", "val"])
    assert refused.value.got == "4 bad ones: train/s0, train/s1, val/s0, ...; see the lines above"
    assert "0 sequences" not in caplog.text
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 4


def test_ids_without_a_name_stop_everything_before_it_begins(tmp_path):
    raw = make_raw(tmp_path / "raw", splits=("train", "val"))
    boxes = boxes_at(every_ms(50))
    boxes["class_id"] = np.arange(20) % 3 + 1
    write_bbox_npy(raw / "val" / "s1_bbox.npy", boxes)
    strict = {"num_raw_classes": None, "num_classes": 2}
    with pytest.raises(UserError, match=r"ids 0 \(60 boxes\), 1 \(7 boxes\), 2 \(7 boxes\), 3 \(6 boxes\)"):
        preprocess_dataset(raw, tmp_path / "out", config(**strict))
    assert not (tmp_path / "out").exists()
    (val,) = preprocess_dataset(raw, tmp_path / "out", config(num_raw_classes=2), splits=["val"]).values()
    assert val[1].dropped["other class"] == 13
    boxes["class_id"] = IGNORE_LABEL
    write_bbox_npy(raw / "val" / "s1_bbox.npy", boxes)
    preprocess_dataset(raw, tmp_path / "other", config(**strict), splits=["val"])


def test_ids_from_one_are_told_with_what_to_add_to_the_command(tmp_path):
    raw = make_raw(tmp_path / "raw", splits=("train",), per_split=1)
    boxes = boxes_at(every_ms(50))
    boxes["class_id"] = np.arange(20) % 2 + 1
    write_bbox_npy(raw / "train" / "s0_bbox.npy", boxes)
    cfg = config(num_raw_classes=None, num_classes=2, classes=("car", "dog"))
    with pytest.raises(UserError) as refused:
        preprocess_dataset(raw, tmp_path / "out", cfg)
    assert "add '++dataset.preprocessing.class_names={1:car,2:dog}' to the command" in refused.value.fix
    cfg = replace(cfg, class_names={1: "car", 2: "dog"})
    ((counts,),) = preprocess_dataset(raw, tmp_path / "out", cfg).values()
    assert counts.boxes


def test_the_record_of_the_published_rule_is_what_it_was():
    keys = set(config().settings())
    assert not keys & {"label_times", "label_tolerance_ms", "num_classes"}
    assert config(num_raw_classes=None, num_classes=2).settings() == config(num_raw_classes=2).settings()
    assert set(nearest().settings()) - keys == {"label_times", "label_tolerance_ms"}


def test_times_at_the_end_of_their_range_are_grouped_too() -> None:
    last = np.iinfo(np.int64).max
    assert group_times(np.array([0, 1000, last - 1, last]), 2000).tolist() == [1000, 1000, last, last]
