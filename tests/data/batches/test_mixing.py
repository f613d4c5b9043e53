"""Mixing: both recordings' events, labels where both are labelled, one partner for a whole streamed range."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.augmentation.config import AugmentationConfig, MixConfig
from data.batches.planned_dataset import PlannedDataset
from data.sampling.specs import LaneSpec
from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import WILD, make_dataset, small_config
from utils.boxes import IGNORE_LABEL

LABELLED = {"a": list(range(2, 30, 3)), "b": [3, 5, 17], "c": [1, 8], "d": [4]}
MIX = AugmentationConfig(mix=MixConfig(prob=1.0))
MIX_FLIP = AugmentationConfig(tflip=0.5, mix=MixConfig(prob=1.0))


def parts(root: Path, sampling: str, augmentation: AugmentationConfig, **changes: Any) -> tuple[DataModule, Any, Any]:
    module = DataModule(
        small_config(
            root,
            train_sampling=sampling,
            augmentation_random=augmentation,
            augmentation_stream=augmentation,
            **changes,
        )
    )
    return module, module.train_plan(), module._dataset("train", training=True)


def shift_of(lane: LaneSpec) -> int:
    """Frame i of the lane meets frame i + shift of its partner."""
    partner = lane.partner
    assert partner is not None
    if lane.reverse:
        return partner.stop - (lane.stop - partner.position)
    return partner.start - (lane.start + partner.position)


@pytest.mark.parametrize("sampling", ["random", "stream", "mixed"])
@pytest.mark.parametrize("changes", [{}, {"ratio": 0.5}])
def test_frames_and_labels_are_those_of_both(dataset: Path, sampling: str, changes: dict[str, Any]) -> None:
    module, plan, planned = parts(dataset, sampling, MIX_FLIP, **changes)
    sequences = module.sequences("train")
    mixed_labels = 0
    for k in range(min(len(plan), 40)):
        spec = plan.batch(0, k)
        batch = planned[spec]
        for lane, place in enumerate(spec.lanes):
            mine = sequences[place.sequence]
            for position, frame in enumerate(batch["ev_idx"][:, lane].tolist()):
                labels = batch["labels"].at(position, lane)
                if frame < 0:
                    assert labels is None
                    continue
                offset = -1 if place.reverse else 0
                value, known = frame + 1, labelled(mine, frame + offset)
                count = 2 if known else 0
                partner = place.partner
                if partner is not None and (theirs := frame + shift_of(place)) in range(partner.start, partner.stop):
                    other = sequences[partner.sequence]
                    assert other is not mine
                    value += theirs + 1
                    known = known and labelled(other, theirs + offset)
                    count += 2
                assert batch["inputs"].data[position, lane].unique().tolist() == [value]
                assert (labels is not None) == known
                assert labels is None or len(labels) == count
                mixed_labels += count == 4 and known
    assert mixed_labels >= 4


def labelled(sequence: Any, frame: int) -> bool:
    return frame in sequence.repr_idx[sequence.visible].tolist()


def test_every_random_sample_keeps_a_label(dataset: Path) -> None:
    for changes in ({}, {"ratio": 0.5}):
        _, plan, planned = parts(dataset, "random", MIX_FLIP, **changes)
        lanes = [lane for k in range(len(plan)) for lane in plan.batch(0, k).lanes]
        assert sum(lane.partner is not None for lane in lanes) > len(lanes) / 2
        for k in range(len(plan)):
            assert planned[plan.batch(0, k)]["labels"].labelled.any(dim=0).all()


def test_a_stream_has_one_partner_for_a_range(dataset: Path) -> None:
    """So that the recurrent state sees one continuous scene."""
    module, plan, _ = parts(dataset, "stream", MIX_FLIP, num_stream_groups=2)
    augmented = set()
    for group in range(2):
        for lane in range(2):
            walk = [plan.batch(0, k).lanes[lane] for k in range(group, len(plan), 2)]
            assert any(spec.partner for spec in walk)
            for one, two in pairwise(walk):
                if two.is_first or one.partner is None or two.partner is None:
                    # A partner may begin late or end early, but does not come back.
                    continue
                assert one.partner.sequence == two.partner.sequence != two.sequence
                assert one.partner.augment == two.partner.augment
                assert shift_of(one) == shift_of(two)
                ends = (one.partner.start, two.partner.stop) if two.reverse else (one.partner.stop, two.partner.start)
                assert ends[0] == ends[1]
                augmented.add(two.partner.augment.entropy)
    assert len(augmented) > 2
    assert module.cfg.stream_groups == 2


def test_how_often(dataset: Path) -> None:
    _, plan, _ = parts(dataset, "mixed", AugmentationConfig(mix=MixConfig(prob=0.3)), batch_size_train=8)
    lanes = [lane for epoch in range(20) for k in range(len(plan)) for lane in plan.batch(epoch, k).lanes]
    assert 0.2 < sum(lane.partner is not None for lane in lanes) / len(lanes) < 0.35
    without, _, _ = parts(dataset, "mixed", AugmentationConfig(), batch_size_train=8)
    plain = without.train_plan()
    walk = [(s.sequence, s.start, s.reverse) for k in range(len(plan)) for s in plan.batch(0, k).lanes]
    assert walk == [(s.sequence, s.start, s.reverse) for k in range(len(plan)) for s in plain.batch(0, k).lanes]


def test_one_sequence_alone_is_not_mixed(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, a=(12, [4, 8, 11]))
    for sampling in ("random", "stream"):
        _, plan, planned = parts(root, sampling, MIX)
        assert all(lane.partner is None for k in range(len(plan)) for lane in plan.batch(0, k).lanes)
        assert planned[plan.batch(0, 0)]["inputs"].data.shape == (4, 2, 4, 16, 20)


def test_boxes_of_both_stay_inside_and_ignored_ones_ignored(dataset: Path) -> None:
    """With every augmentation at once."""
    module, plan, planned = parts(dataset, "mixed", WILD, batch_size_train=6)
    module.sequences("train")[0].rows[::3, 5] = IGNORE_LABEL
    boxes = [planned[plan.batch(0, k)]["labels"] for k in range(len(plan))]
    rows = torch.cat([each.rows for each in boxes])
    far = rows[:, 1:3] + rows[:, 3:5]
    assert (rows[:, 1:3] >= -1e-3).all()
    assert (far <= torch.tensor([19.0, 15.0]) + 1e-3).all()
    assert (rows[:, 3:5] > 0).all()
    assert set(rows[:, 5].tolist()) == {0.0, 1.0, IGNORE_LABEL}
    for each in boxes:
        assert (each.frame_id[1:] >= each.frame_id[:-1]).all()
        assert each.labelled.flatten()[each.frame_id].all()


def test_counts_are_clipped(dataset: Path) -> None:
    _, plan, planned = parts(dataset, "random", AugmentationConfig(mix=MixConfig(prob=1.0), max_count=3))
    assert isinstance(planned, PlannedDataset)
    for k in range(4):
        spec = plan.batch(0, k)
        frames = planned[spec]["inputs"].data.numpy()
        for lane, place in enumerate(spec.lanes):
            assert np.max(frames[:, lane]) <= max(3, place.stop)
