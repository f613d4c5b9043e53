"""Samples equal the reference's: frames by checksum, labels, hidden labels, ranges, evaluation order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from data.augmentation.config import AugmentationConfig
from data.sampling.ranges import range_indices
from data.sampling.specs import AugmentSpec, LaneSpec
from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import assert_same, golden_config, golden_json, lane_record, records

STREAMING = golden_json("04_streaming")
RANDOM = golden_json("04_random")


def test_range_indices() -> None:
    cases = golden_json("04_range_indices")
    cases = cases["cases"] if isinstance(cases, dict) else cases
    assert len(cases) > 10
    for case in cases:
        found = range_indices(np.array(case["indices"], dtype=np.int64), case["max_len"])
        assert [list(r) for r in found] == case["out"]


@pytest.mark.parametrize(
    ("scenario", "changes", "reverse"),
    [
        ("full", {}, False),
        ("train_ratio_0.5", {"train_ratio": 0.5}, False),
        ("ratio_0.5_build", {"ratio": 0.5}, False),
        ("ratio_0.5_from_file", {"ratio": 0.5}, False),  # the same labels: test_split_file_equals_ratio
        ("reverse_off-1", {}, True),
        ("reverse_off-2", {"tflip_offset": -2}, True),
        ("ratio_0.5_reverse", {"ratio": 0.5}, True),
    ],
)
def test_random_items(scenario: str, changes: dict[str, Any], reverse: bool) -> None:
    module = DataModule(golden_config(train_sampling="random", **changes))
    plan = module.train_plan()
    assert plan.random is not None
    items = plan.random.items
    ours = {}
    for item in range(len(items)):
        index = items.sequence_index(item)
        ours[items.sequences[index].name, int(items._frame[item])] = LaneSpec(
            index, *items.window(item, reverse), is_first=True
        )
    # The golden items are listed by sequence and labelled frame.
    listed = [
        (entry["path"], entry["start_idx_offset"] + number)
        for entry in RANDOM[scenario]["per_sequence"]
        for number in range(entry["length"])
    ]
    compared = 0
    for number, (key, golden) in enumerate(zip(listed, RANDOM[scenario]["items"], strict=True)):
        # Where no usable label is in view the reference takes another item at random; that is no item of ours, nor
        # one that has a usable label in view only when reversed.
        if golden["rand_another"] or key not in ours or ours[key].reverse != reverse:
            continue
        assert_same(record_of(module, ours[key], number % 6 == 0), golden, f"{scenario} item {number}")
        compared += 1
    assert compared >= len(listed) * (0.9 if "ratio_0.5_" not in scenario else 0.6)
    assert compared == len(ours) or reverse


def record_of(module: DataModule, spec: LaneSpec, with_frames: bool) -> dict[str, Any]:
    dataset = module._dataset("train", training=True)
    dataset.only_load_labels = not with_frames
    return lane_record(dataset, spec)


def test_split_file_equals_ratio(tmp_path: Any) -> None:
    file = tmp_path / "split.json"
    file.write_text(json.dumps(RANDOM["ratio_0.5_splitfile"]))
    by_file = DataModule(golden_config(split_file=str(file))).sequences("train")
    by_ratio = DataModule(golden_config(ratio=0.5)).sequences("train")
    for mine, theirs in zip(by_file, by_ratio, strict=True):
        assert np.array_equal(mine.hidden, theirs.hidden)
        assert np.nonzero(mine.visible)[0].tolist() == RANDOM["ratio_0.5_splitfile"][mine.name]


def test_weights() -> None:
    plan = DataModule(golden_config(train_sampling="random")).train_plan()
    assert plan.random is not None
    np.testing.assert_allclose(plan.random.items.weights(2), RANDOM["weighted_sampler"]["weights"], rtol=1e-6)


@pytest.mark.parametrize(
    ("scenario", "changes"),
    [
        ("val_B2_w0", {}),
        ("val_B2_w2", {"num_stream_groups_eval": 2}),
        ("val_B2_w0_reverse", {"eval_reverse": True}),
        ("val_B2_w0_reverse_off-2", {"eval_reverse": True, "tflip_offset": -2}),
        ("val_B2_w0_from_zero", {"eval_from_zero": True}),
        ("val_ratio_0.5_B2_w0", {"eval_ratio": 0.5}),
        ("test_B2_w0", {}),
        ("predict_B2_w0", {}),
        ("predict_B2_w0_ratio0.5", {"ratio": 0.5}),
        ("predict_B2_w0_train_ratio0.5", {"train_ratio": 0.5}),
    ],
)
def test_streams_in_order(scenario: str, changes: dict[str, Any]) -> None:
    # Checksums of frames take most of the time: two scenarios check them.
    with_frames = scenario in ("val_B2_w0", "val_B2_w0_reverse_off-2")
    module = DataModule(golden_config(**changes), with_frames=with_frames)
    split, _, _ = scenario.partition("_")
    if split == "predict":
        loader = module.predict_dataloader()
    else:
        loader = (module.val_dataloader() if split == "val" else module.test_dataloader())[0]
    golden = STREAMING[scenario]["batches"]
    assert len(loader) == len(golden)
    for number, (batch, expected) in enumerate(zip(loader, golden, strict=True)):
        assert batch["worker_id"] == expected["worker_id"]
        for ours, theirs in zip(records(batch), expected["samples"], strict=True):
            assert_same(ours, theirs, f"{scenario} batch {number}")


@pytest.mark.parametrize("workers", [0, 2])
def test_predict_with_reversed_pass(workers: int) -> None:
    """The reference plays both directions in one loader; here they are two passes over the same samples."""
    module = DataModule(golden_config(ratio=0.5, num_stream_groups_eval=max(workers, 1)), with_frames=False)
    ours = {}
    for reverse in (False, True):
        for batch in module.predict_dataloader(reverse=reverse):
            ours |= {_key(r): r for r in records(batch) if r["path"]}
    samples = [
        s for b in STREAMING[f"predict_B2_w{workers}_ratio0.5_tta"]["batches"] for s in b["samples"] if s["path"]
    ]
    assert {_key(s) for s in samples} == set(ours)
    for sample in samples:
        assert_same(ours[_key(sample)], sample, "predict tta")


def _key(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["path"], record["reversed"], record["ev_idx"][0]


@pytest.mark.parametrize(
    ("scenario", "changes"),
    [
        ("train_B2_w0", {}),
        ("train_B2_w2", {"num_stream_groups": 2}),
        ("train_B2_w0_ratio0.5", {"ratio": 0.5}),
        ("train_B2_w0_train_ratio0.5", {"train_ratio": 0.5}),
        ("train_B2_w0_tflip1", {"augmentation_stream": {"tflip": 1.0}}),
    ],
)
def test_training_streams_hold_the_same_samples(scenario: str, changes: dict[str, Any]) -> None:
    """The order is random; the number of batches and the set of samples of each lane are not."""
    if "augmentation_stream" in changes:
        changes = {"augmentation_stream": AugmentationConfig(**changes["augmentation_stream"])}
    module = DataModule(golden_config(train_sampling="stream", **changes))
    plan = module.train_plan()
    golden = {_key(s): s for b in STREAMING[scenario]["batches"] for s in b["samples"] if s["path"]}
    assert len(plan) == STREAMING[scenario]["num_batches"]
    groups = module.cfg.stream_groups
    specs: list[LaneSpec] = []
    for lane in range(2):
        for group in range(groups):
            specs = [plan.batch(0, k).lanes[lane] for k in range(group, len(plan), groups)]
            assert len({(s.sequence, s.start) for s in specs}) == len(specs) == len(golden)
    for number, spec in enumerate(specs):
        assert isinstance(spec.augment, AugmentSpec)
        mine = record_of(module, spec, with_frames=number % 6 == 0)
        assert_same(mine, golden[_key(mine)], scenario)


def test_time_flips_in_training_streams() -> None:
    """Each range in one direction; the reference's flags reverse other lanes midway (its train_B2_w0_tflip0.5)."""
    flips = AugmentationConfig(tflip=0.5)
    module = DataModule(golden_config(train_sampling="stream", augmentation_stream=flips))
    plan = module.train_plan()
    assert len(plan) == STREAMING["train_B2_w0_tflip0.5"]["num_batches"]
    scenarios = ("train_B2_w0", "train_B2_w0_tflip1")
    golden = {_key(s): s for name in scenarios for b in STREAMING[name]["batches"] for s in b["samples"] if s["path"]}
    lanes = [lane for k in range(len(plan)) for lane in plan.batch(0, k).lanes]
    assert {lane.reverse for lane in lanes} == {True, False}
    for lane in lanes:
        mine = record_of(module, lane, with_frames=False)
        assert_same(mine, golden[_key(mine)], "tflip 0.5")
