"""DETR and RT-DETR as detectors: losses reach every weight, ignored boxes do not count, steps are the sequence."""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config.compose import compose
from models.detection.detr.backbone import LearnedPosition
from models.detection.interface import Detector, FrameBoxes
from models.detection.rtdetr.attention import PointAttention
from models.detection.rtdetr.config import SetHeadConfig
from models.detection.rtdetr.denoising import noisy_queries
from models.detection.rtdetr.losses import beside
from models.detection.sets.boxes import corners, wanted_of
from models.detection.streaming import flatten_states
from models.registry import spec_of_section
from tests.helpers.commands import SMALL
from tests.models.sets.test_sets import CPU, frame_boxes
from utils.boxes import IGNORE_LABEL
from utils.errors import UserError

DETR = (
    *("model=detr", "model.backbone.resnet=resnet18", "model.transformer.dim=16", "model.transformer.heads=2"),
    *("model.transformer.encoder_layers=1", "model.transformer.decoder_layers=2", "model.transformer.queries=8"),
)
RTDETR = ("model=rtdetr", "model.backbone.embed_dim=8", "model.backbone.attention.dim_head=8", "model.rtdetr.queries=8")
BOXES = [(20.0, 10.0, 40.0, 20.0, 1.0), (60.0, 0.0, 20.0, 30.0, 0.0)]


@functools.cache
def section_of(*overrides: str) -> dict[str, Any]:
    return compose([*SMALL, "dataset.sensor_hw=[100,200]", *overrides])["model"]


def detector_of(*overrides: str) -> Detector:
    torch.manual_seed(0)
    section = section_of(*overrides)
    network = spec_of_section(section).build(section)
    assert isinstance(network, Detector)
    return network


def frames_of(length: int, lanes: int = 1) -> Tensor:
    drawn = torch.rand(length, lanes, 20, 50, 100, generator=torch.Generator().manual_seed(1))
    return (drawn * 3).to(torch.uint8)


@pytest.mark.parametrize("overrides", [DETR, RTDETR, (*RTDETR, "model.rtdetr.denoising=0")])
def test_losses_reach_every_weight_with_and_without_boxes(overrides: tuple[str, ...]) -> None:
    detector = detector_of(*overrides)
    features, _ = detector.features(detector.prepare(frames_of(2)), None)
    for boxes in (frame_boxes(BOXES, []), frame_boxes([], [])):
        detector.zero_grad()
        losses = detector.losses(detector.select(features, torch.arange(2)), boxes)
        losses["loss"].backward(retain_graph=True)
        assert all(torch.isfinite(loss) for loss in losses.values())
        assert [name for name, weight in detector.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("overrides", [DETR, (*RTDETR, "model.rtdetr.denoising=0")])
def test_ignored_boxes_are_neither_object_nor_background(overrides: tuple[str, ...]) -> None:
    detector = detector_of(*overrides).eval()
    features, _ = detector.features(detector.prepare(frames_of(1)), None)
    chosen = detector.select(features, torch.arange(1))
    x0, y0, x1, y1 = detector.predictions(chosen)[0, 0, :4].tolist()
    there = (x0, y0, x1 - x0, y1 - y0)
    nothing, ignored, real = (
        float(detector.losses(chosen, frame_boxes(boxes))["loss"].detach())
        for boxes in ([], [(*there, float(IGNORE_LABEL))], [(*there, 1.0)])
    )
    assert ignored < nothing < real


@pytest.mark.parametrize("overrides", [DETR, RTDETR])
def test_frames_count_what_they_weigh(overrides: tuple[str, ...]) -> None:
    detector = detector_of(*overrides).eval()  # frames do not see each other, nothing is drawn for them together
    features, _ = detector.features(detector.prepare(frames_of(2)), None)
    boxes, alone = frame_boxes(BOXES, BOXES[:1]), frame_boxes(BOXES)

    def losses(frames: int, given: FrameBoxes, *weight: float) -> dict[str, float]:
        torch.manual_seed(0)
        chosen = detector.select(features, torch.arange(frames))
        found = detector.losses(chosen, replace(given, weight=torch.tensor(weight) if weight else None))
        return {name: float(value) for name, value in found.items() if "error" not in name and "denois" not in name}

    equal = losses(2, boxes)
    assert losses(2, boxes, 1.0, 1.0) == equal
    assert losses(2, boxes, 3.0, 3.0)["loss"] == pytest.approx(equal["loss"], rel=1e-4)
    first = losses(1, alone)
    named = [name for name in first if name != "loss"]
    assert [losses(2, boxes, 1.0, 1e-9)[name] for name in named] == pytest.approx([first[n] for n in named], rel=1e-3)
    assert losses(2, boxes, 1.0, 0.5)["loss"] != pytest.approx(equal["loss"], rel=1e-4)


@pytest.mark.parametrize("overrides", [DETR, (*DETR, "model.recurrence=convgru"), RTDETR])
@torch.no_grad()
def test_steps_are_the_sequence_and_frozen_weights_give_the_same(overrides: tuple[str, ...]) -> None:
    detector = detector_of(*overrides).eval()
    for part in detector.modules():  # norms that do something
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            nn.init.uniform_(part.running_mean, -0.1, 0.1)
    frames = frames_of(3, 2)
    features, last = detector.features(detector.prepare(frames), None)
    whole = detector.predictions(detector.select(features, torch.arange(6))).unflatten(0, (3, 2))
    for _ in range(2):
        states = None
        for frame, wanted in zip(frames, whole, strict=True):
            seen, states = detector.step(frame, states)
            torch.testing.assert_close(detector.predictions(seen), wanted, atol=1e-3, rtol=1e-3)
        for mine, other in zip(flatten_states(states), flatten_states(last), strict=True):
            torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)
        assert detector.freeze(torch.float32)


def test_points_are_looked_up_where_queries_say() -> None:
    torch.manual_seed(0)
    look = PointAttention(8, 2, 2, 3)
    nn.init.normal_(look.offsets.weight, std=0.3)
    nn.init.normal_(look.weights.weight)
    sizes, query = [(4, 6), (2, 3)], torch.randn(2, 5, 8)
    memory, box = torch.randn(2, 30, 8), torch.rand(2, 5, 4)
    told = look(query, box, memory, sizes)
    value = look.value(memory)
    offsets = look.offsets(query).view(2, 5, 2, 2, 3, 2)
    weights = look.weights(query).view(2, 5, 2, 6).softmax(-1).view(2, 5, 2, 2, 3)
    wanted = torch.zeros(2, 5, 8)
    for n, q, head, level, point in torch.cartesian_prod(*map(torch.arange, (2, 5, 2, 2, 3))).tolist():
        place = box[n, q, :2] + offsets[n, q, head, level, point] * box[n, q, 2:] / 2
        start, (h, w) = (0 if level == 0 else 24), sizes[level]
        cells = value[n, start : start + h * w, 4 * head : 4 * head + 4].T.view(1, 4, h, w)
        there = F.grid_sample(cells, (2 * place - 1).view(1, 1, 1, 2), align_corners=False).view(4)
        wanted[n, q, 4 * head : 4 * head + 4] += weights[n, q, head, level, point] * there
    torch.testing.assert_close(told, look.out(wanted), atol=1e-5, rtol=1e-5)


def test_noise_stays_within_its_bounds_and_groups_do_not_see_each_other() -> None:
    cfg, labels = SetHeadConfig(dim=8, denoising=20, label_noise=0.0), nn.Embedding(2, 8)
    wanted = wanted_of(frame_boxes(BOXES, []), 2, (50, 100), CPU)
    torch.manual_seed(0)
    noisy = noisy_queries(wanted, labels, cfg)
    assert noisy.groups == 5
    box = noisy.box.view(2, 5, 2, 2, 4)
    moved = (corners(box[0]) - corners(wanted.box[0])).abs() / wanted.box[0, :, 2:].repeat(1, 2)
    assert float(moved[:, 0].max()) <= 0.5 + 1e-6
    assert float(moved[:, 0].max()) > 0.4
    assert float((corners(box[0, :, 0]) - corners(box[0, :, 1])).abs().max()) > 0.1
    torch.testing.assert_close(noisy.content[0, :2], labels(torch.tensor([1, 0])))
    apart = noisy.apart(3)
    assert not apart[:4, :4].any()
    assert apart[:4, 4:20].all()
    assert not apart[:, 20:].any()
    assert apart[20:, :20].all()
    torch.manual_seed(0)
    assert torch.equal(noisy_queries(wanted, labels, cfg).box, noisy.box)


def test_copies_of_boxes_stay_sorted() -> None:
    wanted = wanted_of(frame_boxes([*BOXES, (0.0, 0.0, 9.0, 9.0, float(IGNORE_LABEL))], BOXES[:1]), 2, (50, 100), CPU)
    several = beside(wanted, 2)
    assert several.counts == [4, 2]
    assert several.real.tolist() == [[True] * 4 + [False] * 2, [True] * 2 + [False] * 4]
    assert several.ignored.sum(1).tolist() == [2, 0]
    assert torch.equal(several.box[0, :4], wanted.box[0, [0, 1, 0, 1]])


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [
        ("detr", "backbone.dilation", True),
        ("detr", "backbone.resnet", "resnet51"),
        ("detr", "backbone.frozen", ["layer9"]),
        ("detr", "transformer.dim", 18),
        ("detr", "recurrence", "lstm"),
        ("detr", "loss.no_object", 0),
        ("rtdetr", "rtdetr.dim", 30),
        ("rtdetr", "rtdetr.label_noise", 2),
    ],
)
def test_mistakes_name_their_key(model: str, key: str, value: object) -> None:
    section = copy.deepcopy(section_of(*(DETR if model == "detr" else RTDETR)))
    *path, last = key.split(".")
    functools.reduce(dict.__getitem__, path, section)[last] = value
    with pytest.raises(UserError) as caught:
        spec_of_section(section).build(section)
    assert caught.value.where == f"model.{key}"


def test_learned_positions_end_at_fifty_cells() -> None:
    positions = LearnedPosition(4)
    assert positions(torch.zeros(1, 50, 3)).shape == (1, 8, 50, 3)
    with pytest.raises(UserError, match="51 x 3"):
        positions(torch.zeros(1, 51, 3))
