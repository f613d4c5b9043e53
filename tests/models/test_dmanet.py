"""What DMANet adds to its reference: lanes that begin anew by themselves, and the cures by config key."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.detection.dmanet.anchors import anchors
from models.detection.dmanet.config import DmaNetConfig, LossConfig, MemoryConfig
from models.detection.dmanet.detector import DmaNet
from models.detection.dmanet.losses import frame_losses
from models.detection.dmanet.memory import alike
from models.detection.dmanet.pillars import PillarLayer
from models.detection.interface import FrameBoxes
from models.rnn_states import RNNStates
from utils.boxes import IGNORE_LABEL, Label
from utils.errors import UserError

SIZE = 64


def network(**memory: Any) -> DmaNet:
    torch.manual_seed(0)
    config = DmaNetConfig(
        2, (32, 64), size=SIZE, channels=(8, 8, 16, 16), head_channels=16, memory=MemoryConfig(**memory)
    )
    made = DmaNet(config)
    with torch.no_grad():
        for head in (made.classificationModel, made.regressionModel):
            head.output.weight.normal_(0, 0.1)
        for part in made.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = None  # the first look at data is what the norms then know
        made.train().features(pillars(2, 2, seed=1), None)
    return made.eval()


def pillars(length: int, lanes: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    out = torch.zeros(length, lanes, 2, 200, 18)
    place = torch.stack([torch.randperm(SIZE * SIZE, generator=rng)[:200] for _ in range(length * lanes * 2)])
    place = place.view(length, lanes, 2, 200)
    out[..., 0], out[..., 1] = place % SIZE, place // SIZE
    out[..., 2] = torch.rand(place.shape, generator=rng) * 4
    out[..., 15], out[..., 16], out[..., 17] = 1, place // SIZE, place % SIZE
    return out


def found(model: DmaNet, given: Tensor, states: Any = None) -> tuple[Tensor, Any]:
    with torch.no_grad():
        features, states = model.features(model.prepare(given), states)
        return torch.cat(model.outputs(features), dim=2).unflatten(0, given.shape[:2]), states


def near(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-3, rtol=1e-3)


def test_a_stream_in_chunks_is_the_stream_and_a_lane_begins_anew_by_itself() -> None:
    model, given = network(), pillars(4, 2)
    whole, _ = found(model, given)
    first, states = found(model, given[:2])
    second, _ = found(model, given[2:], states)
    assert near(torch.cat((first, second)), whole)
    store = RNNStates(forgets=not model.keeps_states)
    store.save_states_and_detach(0, states)
    store.reset(0, torch.tensor([True, False]))
    mixed, _ = found(model, given[2:], store.get_states(0))
    fresh, _ = found(model, given[2:])
    assert near(mixed[:, 0], fresh[:, 0])
    assert near(mixed[:, 1], second[:, 1])
    assert not near(mixed[:, 0], second[:, 0])


def test_when_states_begin_anew() -> None:
    given = pillars(4, 1)
    clip, never = network(reset="clip"), network(reset="never")
    _, states = found(clip, given[:2])
    assert torch.equal(found(clip, given[2:], states)[0], found(clip, given[2:])[0])
    assert never.keeps_states
    store = RNNStates(forgets=False)
    store.save_states_and_detach(0, found(never, given[:2])[1])
    store.reset(0, torch.tensor([True]))
    assert float(store.get_states(0)["seen"]) == 1
    store.reset(0)
    assert store.get_states(0) is None


def test_memory_by_config() -> None:
    given = pillars(2, 1)
    outputs, weights = [], network().state_dict()
    for keys in ({}, {"cell": "plain"}, {"first_hidden": "zero"}):
        model = network(**keys)
        model.load_state_dict(weights)
        outputs.append(found(model, given)[0])
    assert not near(outputs[0][1], outputs[1][1])
    assert near(outputs[0][0], outputs[1][0]), "the first window knows no weight"
    assert not near(outputs[0][0], outputs[2][0])
    for key, value in (("cell", "gru"), ("reset", "always"), ("weight_eps", 0)):
        with pytest.raises(UserError, match=rf"model\.memory\.{key}"):
            MemoryConfig(**{key: value})


def test_boxes_are_told_in_pixels_of_the_frame() -> None:
    model = network()
    rows = torch.tensor([[0, 8.0, 4, 24, 16, 1, 1, 1]])
    features, _ = model.train().features(pillars(1, 2), None)
    losses = model.losses(features, FrameBoxes(rows, torch.tensor([1]), 2, (32, 64)))
    scaled = rows.clone()
    scaled[:, Label.Y], scaled[:, Label.H] = rows[:, Label.Y] * 2, rows[:, Label.H] * 2
    again = model.losses(features, FrameBoxes(scaled, torch.tensor([1]), 2, (64, 64)))
    assert {name: float(value) for name, value in losses.items()} == {k: float(v) for k, v in again.items()}
    losses["loss"].backward()
    unused = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
    assert all(".embed_layer." in name or name.startswith("aggregation_layer") for name in unused), "one window only"
    with torch.no_grad():
        predictions = model.eval().predictions(model.features(pillars(1, 1), None)[0])
    assert predictions[0, :, 2].max() <= 64
    assert predictions[0, :, 3].max() <= 32
    (boxes,) = model.boxes(predictions, 0.01, 0.5)
    assert boxes.shape[1] == 7
    assert (boxes[:, 4] == 1).all()
    assert (boxes[:-1, 5] >= boxes[1:, 5]).all()


def test_windows_without_any_event_reach_every_weight_of_the_pillars() -> None:
    model = network().train()
    features, _ = model.features(torch.zeros(1, 2, 2, 1, 18), None)
    nothing = FrameBoxes(torch.zeros(0, 8), torch.zeros(0, dtype=torch.int64), 2, (32, 64))
    model.losses(features, nothing)["loss"].backward()
    layer = model.voxel_feature_extractor.pfn_layers[0]
    assert all(weight.grad is not None for weight in layer.parameters() if weight.requires_grad)


def test_one_lane_on_a_small_canvas_cannot_be_trained_on() -> None:
    with pytest.raises(UserError, match=r"batch_size\.train"):
        network().train().features(pillars(1, 1), None)


@pytest.mark.parametrize("given", [torch.zeros(1, 1, 20, 32, 32), torch.zeros(1, 1, 2, 5, 18, dtype=torch.uint8)])
def test_frames_are_refused(given: Tensor) -> None:
    with pytest.raises(UserError, match=r"this model reads events"):
        network().prepare(given)


OWN = anchors(64, 64)
BOX = torch.tensor([[10.0, 10, 50, 50]])


def losses(logit: float, boxes: Tensor, classes: list[int], **keys: Any) -> tuple[float, float]:
    logits = torch.full((len(OWN), 2), logit)
    both = frame_losses(
        logits, torch.zeros(len(OWN), 4), OWN, boxes, torch.tensor(classes, dtype=torch.int64), LossConfig(**keys)
    )
    return float(both[0]), float(both[1])


def test_frames_without_boxes_and_ignored_boxes() -> None:
    nothing = torch.zeros(0, 4)
    raw, _ = losses(0.0, nothing, [])
    assert raw == pytest.approx(len(OWN) * 2 * 0.75 * 0.25 * math.log(2), rel=1e-5)
    assert losses(0.0, nothing, [], empty_frame_norm="anchors")[0] == pytest.approx(raw / len(OWN))
    assert losses(0.0, BOX, [IGNORE_LABEL])[0] < raw, "anchors at an ignored box are no background"
    assert losses(0.0, BOX, [1])[1] > 0
    assert losses(3.0, BOX, [1], from_logits=True)[0] == pytest.approx(losses(3.0, BOX, [1])[0], rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_in_half_precision_the_clamp_does_nothing(dtype: torch.dtype) -> None:
    logits, targets = torch.full((len(OWN), 2), 12.0, dtype=dtype), torch.tensor([1])
    for precision, finite in (("autocast", False), ("fp32", True)):
        config = LossConfig(precision=precision)
        loss, _ = frame_losses(logits, torch.zeros(len(OWN), 4), OWN, BOX, targets, config)
        assert bool(loss.isfinite()) == finite


def test_the_gradient_of_likeness_grows_as_maps_vanish_unless_eps_limits_it() -> None:
    torch.manual_seed(0)
    maps, norms = torch.rand(2, 1, 8, 4, 4), {}
    for eps in (1e-6, 0.1):
        for scale in (1.0, 1e-4):
            pair = (maps * scale).requires_grad_()
            alike(pair[0], pair[1], eps).sum().backward()
            assert pair.grad is not None
            norms[eps, scale] = float(pair.grad.norm())
    assert norms[1e-6, 1e-4] > 1e3 * norms[1e-6, 1.0]
    assert norms[0.1, 1e-4] < 2 * norms[0.1, 1.0]


def test_bfloat16_on_a_cpu_joins_points_as_float32_does() -> None:
    torch.manual_seed(0)
    layer = PillarLayer().eval()
    points, count = torch.rand(1, 133, 5, 3), torch.randint(1, 6, (1, 133))
    expected = layer(points, count)
    for _ in range(20):
        filled = [torch.full((1, 8, 133, size), torch.nan, dtype=torch.bfloat16) for size in (1, 4, 5)]
        del filled  # what is asked for next lies where these were
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = layer(points, count)
        torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
