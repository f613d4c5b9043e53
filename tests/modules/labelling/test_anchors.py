"""What pseudo labels tell the anchors of objects: found, freed or taken for background."""

from __future__ import annotations

import pytest
import torch

from models.detection.yolox.anchors import make_anchors
from models.detection.yolox.config import HeadConfig
from modules.label_quality.anchors import WAYS, count_anchors
from utils.boxes import IGNORE_LABEL

ANCHORS = make_anchors(((8, 8),), (8,), torch.float32, torch.device("cpu"))
CONFIG = HeadConfig(num_classes=2, ignore_bbox_thresh=(0.6, 0.6))


def box(class_id: int, x: float, y: float, score: float = 1.0) -> list[float]:
    return [class_id, x, y, 8, 8, score, 1.0]


def test_every_way_to_use_unsure_boxes() -> None:
    # Sure, unsure, of a short track, without any label; and a label where nothing is.
    hidden = torch.tensor([[box(0, 12, 12), box(0, 52, 12), box(1, 12, 52), box(1, 52, 52)]])
    labels = torch.tensor(
        [[box(0, 12, 12, 0.9), box(0, 52, 12, 0.5), box(IGNORE_LABEL, 12, 52, 0.9), box(1, 30, 30, 0.9)]]
    )
    raw = torch.zeros(1, 64, 7)
    predicted = torch.cat([ANCHORS.centre, torch.full((64, 2), 8.0)], dim=1)[None]
    counts = count_anchors(raw, predicted, ANCHORS, labels, hidden, CONFIG)
    figures = {way: one.shares() for way, one in counts.items()}
    found, freed, missed = ([figures[way][name] for way in WAYS] for name in ("found", "freed", "taken for background"))
    assert found == [0.5, 0.25, 0.25, 0.25]
    assert freed == [0, 0, 0.25, 0.5]
    assert missed == [0.5, 0.75, 0.5, 0.25]
    assert counts[WAYS[3]].shares(0)["taken for background"] == 0
    assert counts[WAYS[3]].shares(1)["taken for background"] == 0.5
    assert counts[WAYS[3]].shares(1)["boxes off"] == 1
    background = counts[WAYS[0]].background
    assert figures[WAYS[0]]["of the background's loss"] == pytest.approx(2 / int(background))  # all logits are equal
    assert counts[WAYS[3]].ignored == 18  # three by three around each
    assert counts[WAYS[3]].purity == 2 / 18

    twice = counts[WAYS[3]] + counts[WAYS[3]]
    assert twice.shares() == counts[WAYS[3]].shares()
    assert twice.anchors == 128
