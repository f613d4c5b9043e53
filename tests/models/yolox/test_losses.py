"""The loss at its borders: it never raises and never gives anything but finite numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detection.yolox.anchors import make_anchors
from models.detection.yolox.assignment import Assignment
from models.detection.yolox.config import HeadConfig
from models.detection.yolox.head import YOLOXHead
from models.detection.yolox.losses import confident_background, detection_losses, split_targets

ANCHORS = make_anchors(((8, 12), (4, 6), (2, 3)), (8, 16, 32), torch.float32, torch.device("cpu"))


def losses_of(raw, targets, weight=None, **head):
    raw = raw.clone().requires_grad_()
    predictions = YOLOXHead.decode(raw, ANCHORS)
    losses = detection_losses(raw, predictions[..., :4], ANCHORS, targets, HeadConfig(num_classes=2, **head), weight)
    losses["loss"].backward()
    return losses, raw.grad


number = st.floats(-500, 500, width=32)
row = st.tuples(
    st.sampled_from([0.0, 1.0, 1024.0]),
    number,
    number,
    *[st.floats(0, 500, width=32)] * 2,
    st.floats(0, 1),
    st.floats(0, 1),
)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(row, max_size=6),
    soft=st.sampled_from([None, (0.7, 0.35)]),
    weighting=st.sampled_from(["", "obj", "cls-w**2"]),
    background=st.sampled_from([0.0, 0.1]),
    scale=st.sampled_from([0.1, 1.0, 6.0]),
)
def test_any_targets_give_finite_losses_and_gradients(rows, soft, weighting, background, scale):
    targets = torch.zeros(2, 6, 7)
    if rows:
        targets[0, : len(rows)] = torch.tensor(rows)
    raw = torch.randn(2, len(ANCHORS.grid), 7, generator=torch.Generator().manual_seed(0)) * scale
    options = {"ignore_bbox_thresh": soft, "bbox_loss_weighting": weighting, "ignore_bg_k": background}
    losses, grad = losses_of(raw, targets, use_l1=True, **options)
    assert all(torch.isfinite(value) for value in losses.values())
    assert torch.isfinite(grad).all()


def test_no_boxes_at_all():
    losses, grad = losses_of(torch.zeros(1, len(ANCHORS.grid), 7), torch.zeros(1, 1, 7))
    assert losses["iou_loss"] == losses["cls_loss"] == 0
    assert losses["conf_loss"] > 0
    assert (grad[..., :4] == 0).all()


def test_box_beyond_the_maps_is_counted():
    targets = torch.tensor([[[0.0, 900, 900, 20, 20, 1, 1], [1.0, 40, 30, 20, 20, 1, 1]]])
    losses, _ = losses_of(torch.zeros(1, len(ANCHORS.grid), 7), targets)
    assert losses["num_skipped"] == 1
    assert losses["iou_loss"] > 0


def test_soft_thresholds_are_per_class_and_for_both_scores():
    rows = torch.tensor(
        [[c, 40.0, 30, 9, 9, obj, cls] for c in (0.0, 1.0) for obj, cls in [(0.8, 0.8), (0.5, 0.8), (0.8, 0.5)]]
    )
    rows = torch.cat((rows, torch.tensor([[1024.0, 40, 30, 9, 9, 1, 1]]), torch.zeros(1, 7)))[None]
    boxes = split_targets(rows, HeadConfig(num_classes=2, ignore_bbox_thresh=(0.7, 0.35)))
    assert boxes.valid[0].tolist() == [True, False, False, True, True, True, False, False]
    assert boxes.ignored[0].tolist() == [False, True, True, False, False, False, True, False]


def test_confident_background_counts_each_image_alone():
    logits = torch.arange(20.0).view(2, 10)
    fg = torch.zeros(2, 10, dtype=torch.bool)
    fg[0, 9] = True
    match = Assignment(fg, fg.long(), fg.float(), torch.zeros_like(fg), torch.tensor(0))
    chosen = confident_background(logits, match, 0.3)
    assert chosen[0].nonzero().flatten().tolist() == [7, 8]
    assert chosen[1].nonzero().flatten().tolist() == [7, 8, 9]


@pytest.mark.parametrize("value", ["obj", "cls"])
def test_weights_of_equal_confidence_change_nothing(value):
    raw = torch.randn(1, len(ANCHORS.grid), 7, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([[[0.0, 30, 30, 20, 20, 0.4, 0.6], [1.0, 60, 30, 20, 20, 0.4, 0.6]]])
    plain, _ = losses_of(raw, targets)
    weighted, _ = losses_of(raw, targets, bbox_loss_weighting=value)
    torch.testing.assert_close(plain["loss"], weighted["loss"])


@pytest.mark.parametrize("head", [{}, {"use_l1": True, "bbox_loss_weighting": "objxcls", "obj_focal_loss": True}])
def test_frames_weigh(head):
    raw = torch.randn(2, len(ANCHORS.grid), 7, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([[[0.0, 30, 30, 20, 20, 0.5, 0.5]], [[1.0, 60, 30, 20, 20, 0.5, 0.5]]])
    plain, _ = losses_of(raw, targets, **head)
    even, _ = losses_of(raw, targets, torch.full((2,), 0.7), **head)
    alone, alone_grad = losses_of(raw[:1], targets[:1], **head)
    first, grad = losses_of(raw, targets, torch.tensor([1.0, 0.0]), **head)
    torch.testing.assert_close(even["loss"], plain["loss"])
    torch.testing.assert_close(first["loss"], alone["loss"])
    torch.testing.assert_close(grad[:1], alone_grad)
    assert not grad[1].any()
