"""Preprocessing of recordings and folders: windows, options, resuming, faults."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.events.bbox import write_bbox_npy
from data.events.recording import ArrayRecording
from data.events.types import Events
from data.preprocessing import job as job_module
from data.preprocessing.config import PreprocessConfig, RepresentationConfig
from data.preprocessing.dataset import preprocess_dataset
from data.preprocessing.recordings import find_recordings
from data.preprocessing.sequence import plan_sequence, preprocess_recording
from data.preprocessing.timing import plan_windows, select_label_times
from data.sequences.layout import FrameReader, SequencePaths, list_sequences, read_labels
from tests.helpers.recordings.raw_recordings import boxes_at, config, content, events_of, every_ms, make_raw
from utils.errors import UserError

NAME = "stacked_histogram_dt=50_nbins=2"


def test_gen1_windows_lie_dt_apart_by_default():
    plan = plan_sequence(boxes_at(every_ms(250)), config(base_step_ms=250.0), 0)
    assert plan.label_times_us.tolist() == [250_000, 500_000, 750_000, 1_000_000]
    assert np.unique(np.diff(plan.ends_us)).tolist() == [50_000]
    assert plan.ends_us[0] == 100_000  # windows start after 0


@pytest.mark.parametrize(("step_ms", "per_label"), [(50, 1), (100, 2)])
def test_labels_of_20_and_10_hz_with_a_base_step_of_50_ms(step_ms, per_label):
    plan = plan_sequence(boxes_at(every_ms(step_ms)), config(), 0)
    assert plan.label_times_us[0] == plan.ends_us[0] == 100_000
    assert plan.ends_us.tolist() == every_ms(50, start=100).tolist()
    assert np.unique(np.diff(plan.objframe_idx_2_repr_idx)).tolist() == [per_label]


def test_an_earlier_alignment_keeps_the_first_labels():
    plan = plan_sequence(boxes_at(every_ms(50)), config(align_t_ms=0), 0)
    assert plan.ends_us.tolist() == plan.label_times_us.tolist() == every_ms(50).tolist()


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.integers(1, 4), min_size=1, max_size=20),
    jitter=st.integers(-900, 900),
    first=st.integers(100_000, 400_000),
    base=st.sampled_from([50_000, 100_000, 250_000]),
    per_step=st.sampled_from([None, 1, 2, 5]),
)
def test_every_label_ends_a_window_and_windows_are_even(steps, jitter, first, base, per_step):
    times = first + np.cumsum([0, *[k * base + jitter for k in steps]])
    kept = select_label_times(times, 100_000, base)
    np.testing.assert_array_equal(kept, times)
    plan = plan_windows(kept, base, 50_000, per_step)
    np.testing.assert_array_equal(plan.ends_us[plan.objframe_idx_2_repr_idx], times)
    assert (np.diff(plan.ends_us) > 0).all()
    assert plan.ends_us[0] > 50_000 or plan.ends_us[0] == first
    counts = np.diff(plan.objframe_idx_2_repr_idx)
    assert counts.tolist() == [k * (per_step or base // 50_000) for k in steps]
    for index, count in zip(plan.objframe_idx_2_repr_idx[1:], counts, strict=True):
        between = np.diff(plan.ends_us[index - count : index + 1])
        assert between.max() - between.min() <= 1


def test_frames_hold_the_events_of_their_windows(tmp_path):
    recording = ArrayRecording("a", events_of())
    counts = preprocess_recording(recording, boxes_at(every_ms(50)), tmp_path / "a", config(), "train")
    assert (counts.frames, counts.labelled_frames, counts.boxes, counts.raw_boxes) == (19, 19, 19, 20)
    paths = SequencePaths(tmp_path / "a", NAME)
    ends, frames = np.load(paths.frame_timestamps), FrameReader(paths.h5).read(0, 19)
    for end, frame in zip(ends, frames, strict=True):
        assert frame.sum() == len(recording.read(end - 50_000, end))
    labels = read_labels(paths)
    np.testing.assert_array_equal(labels.boxes["t"], ends[labels.objframe_idx_2_repr_idx])


def test_times_stay_whole_microseconds(tmp_path):
    time = 59_999_999  # float32 would make it 60,000,000
    recording = ArrayRecording("a", events_of(t_max=60_000_000))
    cfg = config(base_step_ms=None)
    preprocess_recording(recording, boxes_at([time - 250_000, time]), tmp_path / "a", cfg, "train")
    labels = read_labels(SequencePaths(tmp_path / "a", NAME))
    assert labels.boxes["t"].tolist() == [time - 250_000, time]


def test_a_wall_clock_is_shifted_to_start_at_zero(tmp_path):
    start = 1_672_932_172_785_744
    plain, wall = ArrayRecording("a", events_of()), ArrayRecording("b", events_of(start=start))
    first = plain.t_first_us
    preprocess_recording(plain, boxes_at(every_ms(50)), tmp_path / "a", config(), "train")
    preprocess_recording(wall, boxes_at(every_ms(50) + start + first), tmp_path / "b", config(), "train")
    paths = SequencePaths(tmp_path / "b", NAME)
    assert read_labels(paths).boxes["t"].max() == 1_000_000
    assert np.load(paths.frame_timestamps).tolist() == every_ms(50, start=100).tolist()


def test_all_windows_go_on_to_the_end_and_keep_unlabelled_recordings(tmp_path):
    recording = ArrayRecording("a", Events.from_arrays([0, 730_000], [1, 1], [1, 1], [1, 1]))
    cfg = config(all_windows=True)
    preprocess_recording(recording, boxes_at([200_000]), tmp_path / "a", cfg, "train")
    assert np.load(SequencePaths(tmp_path / "a", NAME).frame_timestamps)[-1] == 700_000
    counts = preprocess_recording(recording, boxes_at([]), tmp_path / "b", cfg, "train")
    assert (counts.frames, counts.labelled_frames, counts.skipped) == (14, 0, None)
    assert len(read_labels(SequencePaths(tmp_path / "b", NAME))) == 0
    assert preprocess_recording(recording, boxes_at([]), tmp_path / "c", config(), "train").skipped
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"min_side": -1},
        {"base_step_ms": 0},
        {"windows_per_label_step": 0},
        {"representation": RepresentationConfig(dt_ms=0)},
        {"representation": RepresentationConfig(kind="voxel")},
    ],
)
def test_impossible_parameters_are_user_errors(fault):
    with pytest.raises(UserError, match=r"dataset\."):
        config(**fault)


def test_a_folder_in_two_processes_gives_the_bytes_of_one(tmp_path):
    raw = make_raw(tmp_path / "raw")
    report = preprocess_dataset(raw, tmp_path / "two", config(), num_workers=2)
    assert {split: [row.name for row in rows] for split, rows in report.items()} == {
        "train": ["s0", "s1"],
        "val": ["s0", "s1"],
    }
    preprocess_dataset(raw, tmp_path / "one", config())
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_the_same_call_goes_on_and_ends_with_the_same_bytes(tmp_path, monkeypatch):
    raw = make_raw(tmp_path / "raw")
    preprocess_dataset(raw, tmp_path / "whole", config())
    real, begun = job_module.preprocess_recording, []

    def killed_at_the_third(*args, **more):
        begun.append(args)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(job_module, "preprocess_recording", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        preprocess_dataset(raw, tmp_path / "parts", config())
    stale = tmp_path / "parts" / "train" / f".s9.tmp-leod-{2**22 + 1}"
    stale.mkdir(parents=True)
    assert [path.name for path in list_sequences(tmp_path / "parts" / "train")] == ["s0", "s1"]
    report = preprocess_dataset(raw, tmp_path / "parts", config())
    assert len(begun) == 5  # two were kept, the third begun again
    assert sum(len(rows) for rows in report.values()) == 4
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    assert not stale.exists()


def test_other_parameters_in_the_same_folder_are_a_user_error(tmp_path):
    raw = make_raw(tmp_path / "raw", splits=("val",), per_split=1)
    with pytest.raises(UserError, match="sensor"):
        preprocess_dataset(raw, tmp_path / "out", PreprocessConfig((99, 99)))
    preprocess_dataset(raw, tmp_path / "out", config())  # nothing was written with the wrong size
    with pytest.raises(UserError, match=r"align_t_ms: 0 instead of 100"):
        preprocess_dataset(raw, tmp_path / "out", config(align_t_ms=0))


def test_text_is_a_recording_if_its_lines_are_events(tmp_path):
    raw = make_raw(tmp_path / "raw", splits=("train",), per_split=1)
    for name, text in {
        "notes": "Filmed on Tuesday.\n",
        "s0": "0 0.5 0.5 0.1 0.1\n",  # boxes of a picture
        "table": "1,2,3\n4,5,6\n",
        "events": "# t x y p\n0.5 3 4 1\n",
        "empty": "",
    }.items():
        (raw / "train" / f"{name}.txt").write_text(text)
    write_bbox_npy(raw / "train" / "events_bbox.npy", boxes_at([]))
    found = find_recordings(raw, tmp_path / "out", config(), ["train"])
    assert [job.recording.name for job in found] == ["events.txt", "s0_td.dat"]


def test_faults_of_a_raw_folder_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="raw_path"):
        preprocess_dataset(tmp_path / "none", tmp_path / "out", config())
    raw = make_raw(tmp_path / "raw", splits=("train",), per_split=1)
    (raw / "train" / "s0.aedat4").touch()
    with pytest.raises(UserError, match=r"s0\.aedat4 and s0_td\.dat"):
        preprocess_dataset(raw, tmp_path / "out", config())
    (raw / "train" / "s0.aedat4").unlink()
    data = (raw / "train" / "s0_td.dat").read_bytes()
    (raw / "train" / "s0_td.dat").write_bytes(data[:-5])
    with pytest.raises(UserError, match="cut off"):
        preprocess_dataset(raw, tmp_path / "out", config())
    (raw / "train" / "s0_td.dat").write_bytes(data)
    (raw / "train" / "s0_bbox.npy").unlink()
    with pytest.raises(UserError, match=r"no s0_bbox\.npy"):
        preprocess_dataset(raw, tmp_path / "out", config())
    report = preprocess_dataset(raw, tmp_path / "out", config(all_windows=True))
    assert report["train"][0].frames > 0


def test_recordings_without_labels_are_left_out_before_they_are_opened(tmp_path):
    raw = make_raw(tmp_path / "raw", splits=("train",))
    write_bbox_npy(raw / "train" / "s0_bbox.npy", boxes_at([]))
    (raw / "train" / "s0_td.dat").write_bytes(b"not even a recording")
    report = preprocess_dataset(raw, tmp_path / "out", config())
    assert [row.skipped for row in report["train"]] == ["no label is left after filtering", None]
