"""Sets of boxes: what is wanted of frames, matching, detections without suppression."""

from __future__ import annotations

import torch
from torchvision.ops import generalized_box_iou

from models.detection.interface import FrameBoxes
from models.detection.sets.boxes import corners, generalised_iou, wanted_of
from models.detection.sets.detections import found
from models.detection.sets.matching import match, matched, near_ignored
from utils.boxes import IGNORE_LABEL

CPU = torch.device("cpu")


def frame_boxes(*frames: list[tuple[float, ...]]) -> FrameBoxes:
    """Boxes x, y, w, h, class of frames of 50 x 100 pixels."""
    rows = torch.zeros(sum(map(len, frames)), 8)
    rows[:, 1:6] = torch.tensor([box for frame in frames for box in frame]).view(-1, 5)
    frame = torch.tensor([index for index, frame in enumerate(frames) for _ in frame], dtype=torch.int64)
    return FrameBoxes(rows, frame, len(frames), (50, 100))


def test_boxes_to_be_found_come_first_and_ignored_ones_stay_apart() -> None:
    ignored, flat = (10, 10, 20, 20, IGNORE_LABEL), (0, 0, 0, 5, 1)
    wanted = wanted_of(frame_boxes([ignored, (20, 10, 40, 20, 1), flat], [], [(0, 0, 100, 50, 0)]), 2, (50, 100), CPU)
    assert wanted.counts == [1, 0, 1]
    assert wanted.real.tolist() == [[True, False, False], [False] * 3, [True, False, False]]
    assert wanted.ignored.tolist() == [[False, True, False], [False] * 3, [False] * 3]
    torch.testing.assert_close(wanted.box[0, 0], torch.tensor([0.4, 0.4, 0.4, 0.4]))
    torch.testing.assert_close(wanted.box[2, 0], torch.tensor([0.5, 0.5, 1.0, 1.0]))
    near = near_ignored(torch.stack((wanted.box[0, 1], wanted.box[0, 0])).expand(1, 3, 2, 4), wanted)
    assert near.tolist() == [[[True, False], [False, False], [False, False]]]


def test_overlaps_are_those_of_torchvision() -> None:
    box, other = (corners(torch.rand(n, 4, generator=torch.Generator().manual_seed(n))) for n in (9, 5))
    _, overlap = generalised_iou(box.unsqueeze(1), other)
    torch.testing.assert_close(overlap, generalized_box_iou(box, other))


def test_more_boxes_than_queries_and_what_is_no_number() -> None:
    wanted = wanted_of(frame_boxes([(8 * k, 0, 8, 8, 0) for k in range(4)]), 1, (50, 100), CPU)
    box = wanted.box[:, [1, 0]].unsqueeze(0)
    query = match(torch.zeros(1, 1, 2, 4), box, wanted, (1.0, 1.0, 1.0))
    assert matched(wanted, 2).tolist() == [[True, True, False, False]]
    assert query.tolist() == [[[1, 0, 0, 0]]]
    query = match(torch.full((1, 1, 2, 4), torch.nan), box, wanted, (1.0, 1.0, 1.0))
    assert sorted(query[0, 0, :2].tolist()) == [0, 1], "the loss will tell of it"


def test_detections_are_sorted_and_none_is_suppressed() -> None:
    same = torch.tensor([[1.0, 2, 3, 4]]).expand(3, -1)
    scores = torch.tensor([[0.2, 0.3], [0.05, 0.01], [0.9, 0.1]])
    rows, nothing = found(torch.stack((torch.cat((same, scores), 1), torch.zeros(3, 6))), 0.1)
    wanted = torch.tensor([[1.0, 2, 3, 4, 1, 0.9, 0], [1, 2, 3, 4, 1, 0.3, 1]])
    torch.testing.assert_close(rows, wanted)
    assert nothing.shape == (0, 7)
