"""Labels of a batch on their way to the loss: boxes of chosen frames, and the padded targets of the YOLOX head."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.labels.batched_labels import BatchedLabels
from data.labels.object_labels import ObjectLabels
from models.detection.yolox.targets import padded_targets
from modules.detection import boxes_of_frames

HW = (60, 90)


def some_boxes(count: int | None, seed: int) -> ObjectLabels | None:
    if count is None:
        return None
    return ObjectLabels(torch.rand((count, 8), generator=torch.Generator().manual_seed(seed)) * 50, HW)


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=2, max_size=2), min_size=1, max_size=4))
def test_targets_are_those_of_the_frames(counts: list[list[int | None]]) -> None:
    cells = [[some_boxes(count, 2 * t + b) for b, count in enumerate(line)] for t, line in enumerate(counts)]
    labels = BatchedLabels.from_lists(cells, HW)
    for indices in (labels.labelled_indices(), labels.labelled_indices()[1:]):
        boxes = boxes_of_frames(labels, indices)
        assert (boxes.num_frames, boxes.size_hw) == (len(indices), HW)
        chosen = [cells[index // 2][index % 2] for index in indices.tolist()]
        assert torch.equal(
            boxes.rows, torch.cat([torch.zeros(0, 8), *(c.object_labels for c in chosen if c is not None)])
        )
        targets = padded_targets(boxes)
        assert targets.shape == (len(indices), max([len(c) for c in chosen if c is not None], default=0) or 1, 7)
        for target, cell in zip(targets, chosen, strict=True):
            assert cell is not None
            assert torch.equal(target[: len(cell)], cell.get_labels_as_tensors("yolox"))
            assert not target[len(cell) :].any()


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_frame_without_labels_has_no_box(lanes: int) -> None:
    labels = BatchedLabels.from_lists([[None] * lanes, [some_boxes(2, 0)] * lanes], HW)
    boxes = boxes_of_frames(labels, torch.zeros(1, dtype=torch.int64))
    assert (len(boxes.rows), boxes.num_frames) == (0, 1)
    assert padded_targets(boxes).tolist() == [[[0.0] * 7]]
