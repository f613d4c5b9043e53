"""Filters, label and window times, and whole sequences against the published preprocessing."""

from __future__ import annotations

import numpy as np
import pytest

from data.events.recording import ArrayRecording
from data.events.types import Events
from data.preprocessing.config import PreprocessConfig, RepresentationConfig
from data.preprocessing.filters import filter_boxes
from data.preprocessing.sequence import group_labels, plan_sequence, preprocess_recording
from data.sequences.layout import FrameReader, SequencePaths, read_labels
from tests.helpers.golden_files import golden_keys, load_golden
from utils.boxes import to_bbox_array

SENSOR = {"gen1": (240, 304), "gen4": (720, 1280)}
NUM_CLASSES = {"gen1": 2, "gen4": 3}
PROPHESEE = {"gen1": (30, 10), "gen4": (60, 20)}
CONSERVATIVE = (0, 5)


def config(dataset: str, size: tuple[int, int], **more) -> PreprocessConfig:
    return PreprocessConfig(
        sensor_hw=SENSOR[dataset],
        num_raw_classes=NUM_CLASSES[dataset],
        min_diag=size[0],
        min_side=size[1],
        base_step_ms=250 if dataset == "gen1" else None,
        windows_per_label_step=2,  # as RVT's script counts
        **more,
    )


@pytest.mark.parametrize("dataset", ["gen1", "gen4"])
@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("mode", ["gen1", "gen4"])  # prophesee and conservative
def test_label_filters(dataset, split, mode):
    golden = load_golden("04b_label_filters")
    cfg = config(dataset, PROPHESEE[dataset] if mode == "gen1" else CONSERVATIVE)
    ours = filter_boxes(to_bbox_array(golden[f"{dataset}/in"]), cfg, split)
    theirs = golden[f"{dataset}/filter_{mode}/{split}"]
    for name in ("t", "x", "y", "w", "h", "class_id", "class_confidence"):
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_every_published_array_is_compared():
    filtered = {f"{d}/filter_{mode}/{split}" for d in SENSOR for mode in SENSOR for split in ("train", "val")}
    assert set(golden_keys("04b_label_filters")) == filtered | {f"{d}/in" for d in SENSOR}
    times = {f"{case}/{name}" for case in TIMES for name in (*TIME_ARRAYS, "in_labels", "dataset")}
    assert set(golden_keys("04b_timestamps")) == times | {
        f"gen1_gaps/{name}" for name in ("in_labels", "dataset", "error")
    }
    names = [r.build().name for r in REPRESENTATIONS]
    end = {f"{split}/in/{name}" for split in ("train", "val") for name in ("t", "x", "y", "p", "labels")}
    end |= {f"{split}/out/{name}" for split in ("train", "val") for name in END_LABELS}
    end |= {f"{split}/out/{name}/{array}" for split in ("train", "val") for name in names for array in END_FRAMES}
    assert set(golden_keys("04b_endtoend_gen1")) == set(golden_keys("04b_endtoend_gen4")) == end


TIMES = ("gen1_4hz", "gen1_gaps2", "gen1_single", "gen1_1hz", "gen4_60hz", "gen4_30hz", "gen4_60hz_gap")


TIME_ARRAYS = (
    "frame_timestamps_us", "ev_repr_timestamps_us", "objframe_idx_2_repr_idx", "labels_per_frame", "labels",
)  # fmt: skip
END_LABELS = ("labels", "objframe_idx_2_label_idx", "label_timestamps_us")
END_FRAMES = ("data", "timestamps_us", "objframe_idx_2_repr_idx")


@pytest.mark.parametrize("case", TIMES)
def test_label_and_window_times(case):
    golden = load_golden("04b_timestamps")
    plan, labels = times_of(golden, case)
    np.testing.assert_array_equal(plan.label_times_us, golden[f"{case}/frame_timestamps_us"])
    np.testing.assert_array_equal(plan.ends_us, golden[f"{case}/ev_repr_timestamps_us"])
    np.testing.assert_array_equal(plan.objframe_idx_2_repr_idx, golden[f"{case}/objframe_idx_2_repr_idx"])
    per_frame = np.diff(np.append(labels.objframe_idx_2_label_idx, len(labels.boxes)))
    np.testing.assert_array_equal(per_frame, golden[f"{case}/labels_per_frame"])
    np.testing.assert_allclose(labels.boxes["t"], golden[f"{case}/labels"]["t"], atol=2)  # theirs went through float32
    for name in "xywh":
        np.testing.assert_allclose(labels.boxes[name], golden[f"{case}/labels"][name], atol=1e-4)
    for name in ("class_id", "class_confidence"):
        np.testing.assert_array_equal(labels.boxes[name], golden[f"{case}/labels"][name])


def test_labels_closer_than_the_tolerance_are_one_frame():
    golden = load_golden("04b_timestamps")  # this case crashes RVT's script: labels at 383.3 and 384.1 ms
    plan, _ = times_of(golden, "gen1_gaps")
    assert 383_333 in plan.label_times_us
    assert 384_100 not in plan.label_times_us
    np.testing.assert_array_equal(plan.label_times_us, golden["gen1_gaps2/frame_timestamps_us"])


def times_of(golden, case):
    cfg = config(str(golden[f"{case}/dataset"]), CONSERVATIVE)
    boxes = to_bbox_array(golden[f"{case}/in_labels"])
    plan = plan_sequence(boxes, cfg, t_last_us=0)
    return plan, group_labels(boxes, plan)


REPRESENTATIONS = [RepresentationConfig(), RepresentationConfig("mixed_density", 10, 32)]


@pytest.mark.parametrize("dataset", ["gen1", "gen4"])
@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("representation", REPRESENTATIONS, ids=lambda r: r.kind)
def test_end_to_end(tmp_path, dataset, split, representation):
    golden = load_golden(f"04b_endtoend_{dataset}", f"{split}/")
    cfg = config(
        dataset,
        PROPHESEE["gen1"] if dataset == "gen1" else CONSERVATIVE,
        representation=representation,
        downsample_by_factor_2=dataset == "gen4",
    )
    recording = ArrayRecording("a", Events.from_arrays(*(golden[f"{split}/in/{key}"] for key in "txyp")))
    boxes = to_bbox_array(golden[f"{split}/in/labels"])
    preprocess_recording(recording, boxes, tmp_path / "seq", cfg, split)

    paths = SequencePaths(tmp_path / "seq", representation.build().name, cfg.downsample_by_factor_2)
    out = f"{split}/out/{paths.ev_repr_name}"
    reader, labels = FrameReader(paths.h5), read_labels(paths)
    np.testing.assert_array_equal(reader.read(0, len(reader)), golden[f"{out}/data"])
    assert reader.dtype == golden[f"{out}/data"].dtype
    np.testing.assert_array_equal(np.load(paths.frame_timestamps), golden[f"{out}/timestamps_us"])
    np.testing.assert_array_equal(labels.objframe_idx_2_repr_idx, golden[f"{out}/objframe_idx_2_repr_idx"])
    np.testing.assert_array_equal(labels.objframe_idx_2_label_idx, golden[f"{split}/out/objframe_idx_2_label_idx"])
    np.testing.assert_array_equal(labels.label_timestamps_us, golden[f"{split}/out/label_timestamps_us"])
    for name in ("t", "x", "y", "w", "h", "class_id", "class_confidence"):
        np.testing.assert_array_equal(labels.boxes[name], golden[f"{split}/out/labels"][name], err_msg=name)
