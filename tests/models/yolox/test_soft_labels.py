"""Scores of pseudo boxes as soft targets: off and for ground truth nothing changes, else targets follow the formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.detection.yolox.anchors import make_anchors
from models.detection.yolox.config import HeadConfig
from models.detection.yolox.head import YOLOXHead
from models.detection.yolox.losses import detection_losses
from utils.errors import UserError

ANCHORS = make_anchors(((8, 12), (4, 6), (2, 3)), (8, 16, 32), torch.float32, torch.device("cpu"))
RAW = torch.randn(2, len(ANCHORS.grid), 7, generator=torch.Generator().manual_seed(0))


def targets_of(objectness: float, class_confidence: float) -> Tensor:
    """A pseudo box with these scores beside a box of ground truth, in two images; the rest is padding."""
    rows = torch.zeros(2, 3, 7)
    rows[:, 0] = torch.tensor([0.0, 30, 30, 20, 20, objectness, class_confidence])
    rows[:, 1] = torch.tensor([1.0, 60, 30, 20, 20, 1, 1])
    return rows


def losses_of(targets: Tensor, raw: Tensor = RAW, **head: object) -> tuple[dict[str, Tensor], Tensor]:
    raw = raw.clone().requires_grad_()
    boxes = YOLOXHead.decode(raw, ANCHORS)[..., :4]
    losses = detection_losses(raw, boxes, ANCHORS, targets, HeadConfig(num_classes=2, **head))  # type: ignore[arg-type]
    losses["loss"].backward()
    assert raw.grad is not None
    return losses, raw.grad


def test_off_scores_do_not_matter() -> None:
    hard, hard_grad = losses_of(targets_of(1, 1))
    off, off_grad = losses_of(targets_of(0.3, 0.4), soft_label_weight=0.5, temperature=3.0)
    assert torch.equal(hard["loss"], off["loss"])
    assert torch.equal(hard_grad, off_grad)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("focal", [False, True])
def test_ground_truth_keeps_hard_targets(temperature: float, focal: bool) -> None:
    hard, hard_grad = losses_of(targets_of(1, 1), obj_focal_loss=focal)
    soft, soft_grad = losses_of(targets_of(1, 1), obj_focal_loss=focal, use_soft_labels=True, temperature=temperature)
    assert torch.equal(hard["loss"], soft["loss"])
    assert torch.equal(hard_grad, soft_grad)


def test_weight_zero_is_hard_and_weight_one_lowers_targets() -> None:
    _, hard = losses_of(targets_of(1, 1))
    _, none = losses_of(targets_of(0.3, 0.4), use_soft_labels=True, soft_label_weight=0.0)
    assert torch.equal(hard, none)
    _, soft = losses_of(targets_of(0.3, 0.4), use_soft_labels=True)
    changed = (soft - hard)[..., 4:6]
    assert (changed >= 0).all(), "descent raises objectness and class less than with hard targets"
    assert (changed > 0).any()
    assert torch.equal(soft[..., :4], hard[..., :4]), "boxes are learnt as before"
    assert torch.equal(soft[..., 6], hard[..., 6]), "so is the other class"


@pytest.mark.parametrize(("weight", "temperature"), [(1.0, 1.0), (0.5, 1.0), (0.5, 2.0), (1.0, 0.5)])
def test_objectness_rests_where_the_formula_says(weight: float, temperature: float) -> None:
    score = 0.8
    tempered = 1 / (1 + math.exp(-math.log(score / (1 - score)) / temperature))
    target = (1 - weight) + weight * tempered
    raw = RAW.clone()
    raw[..., 4] = math.log(target / (1 - target))  # every anchor predicts the target
    options = {"use_soft_labels": True, "soft_label_weight": weight, "temperature": temperature}
    _, grad = losses_of(targets_of(score, 1)[:, :1], raw, **options)
    pull = grad[..., 4]
    resting = pull.abs() < 1e-7
    assert resting.any(), "anchors of the box rest"
    assert (pull[~resting] > 0).all(), "background goes down"


@pytest.mark.parametrize(
    ("change", "where"),
    [({"soft_label_weight": 1.5}, "head.soft_label_weight"), ({"temperature": 0.0}, "head.temperature")],
)
def test_bad_settings_are_named(change: dict[str, float], where: str) -> None:
    with pytest.raises(UserError) as caught:
        HeadConfig(num_classes=2, use_soft_labels=True, **change)  # type: ignore[arg-type]
    assert caught.value.where == where
