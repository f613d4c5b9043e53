"""How much a GPU is asked to do: operations of a step and of a frame, and copies that the host waits for.

Counted on a GPU that is not there (``tests/models/test_fake_cuda.py``). A number on the host cannot be had there, so a
step that runs at all waits for none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from data.payloads.frames import FrameInputs
from models import half_weights, rnn_states
from models.detection.interface import FrameBoxes
from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.rnndet import detector
from models.detection.rnndet.detector import YoloXDetector
from models.detection.rnndet.frozen import freeze
from models.detection.streaming import StreamingStep, flatten_states
from models.layers import cudnn
from modules import detection
from tests.models.conftest import tiny_config

VIEWS = {"view", "_unsafe_view", "slice", "select", "unsqueeze", "squeeze", "permute", "transpose", "t", "expand"}
VIEWS |= {"detach", "alias", "unbind", "split", "split_with_sizes", "as_strided", "_reshape_alias"}
VIEWS |= {"device", "empty", "empty_like", "new_empty"}
"""Operations that launch nothing."""

TENSORS_OF_A_LAUNCH = 64
"""Of an operation on lists."""

BUDGETS = {
    "training": {"small": 545, "base": 581},
    "detecting": {"small": 361, "base": 385},
    "frame": {"small": 235, "base": 250},
}
"""Most operations of a forward pass. For the first two it is three quarters of 727, 775, 482 and 514."""

SIZES = {"small": (48, 24, 0.33), "base": (64, 32, 0.67)}
"""Channels of the first stage, of an attention head, and depth of the pyramid."""

KINDS = [
    ("small", torch.float16),
    pytest.param("small", torch.bfloat16, marks=pytest.mark.soak),
    pytest.param("base", torch.float16, marks=pytest.mark.soak),
    ("base", torch.bfloat16),
]
LARGEST = [pytest.param("small", torch.float16, marks=pytest.mark.soak), *KINDS[1:]]


class Count(TorchDispatchMode):
    """Counts operations on the device, and copies from the host that it waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.blocking = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[1]
        first = result[0] if isinstance(result, tuple | list) and result else result
        if name.startswith("_foreach_"):
            self.operations[name] += -(-len(args[0]) // TENSORS_OF_A_LAUNCH)
        elif name not in VIEWS and isinstance(first, Tensor) and first.device.type == "cuda" and first.numel():
            self.operations[name] += 1
        source = args[-1] if name == "copy_" else args[0] if args else None
        if isinstance(source, Tensor) and isinstance(result, Tensor) and name in ("_to_copy", "copy_"):
            crosses = source.device.type == "cpu" and result.device.type == "cuda"
            self.blocking += crosses and not (kwargs or {}).get("non_blocking", False)
        return result


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU that is not there; recurrence and attention are one operation each, as they are on one."""

    def lstm(x: Tensor, states: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.sigmoid(x), *(torch.empty_like(state) for state in states)

    def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return torch.sigmoid(value)

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)  # a training of another test may have left it on
    monkeypatch.setattr(cudnn, "lstm", lstm)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    with FakeTensorMode(), enable_python_dispatcher(), torch.device("cuda"):
        yield


@contextmanager
def half(dtype: torch.dtype) -> Iterator[None]:
    """Autocast, which without a GPU switches itself off."""
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    try:
        yield
    finally:
        torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_dtype("cuda", before)


def build(size: str) -> YoloXDetector:
    """A detector of a size that is trained, on the tests' small frames."""
    dim, dim_head, depth = SIZES[size]
    cfg = tiny_config(ignore_bbox_thresh=(0.7, 0.3))
    assert isinstance(cfg.backbone, BackboneConfig)
    attention = replace(cfg.backbone.attention, dim_head=dim_head)
    backbone = replace(cfg.backbone, embed_dim=dim, attention=attention)
    return YoloXDetector(replace(cfg, backbone=backbone, fpn=replace(cfg.fpn, depth=depth)))


def module_of(monkeypatch: pytest.MonkeyPatch, network: YoloXDetector) -> detection.Module:
    """The module of a network, with a lane that begins in every batch."""
    monkeypatch.setattr(rnn_states, "_marks_none", lambda lanes: False)  # a number of a tensor that has none
    module = detection.Module.__new__(detection.Module)
    torch.nn.Module.__init__(module)
    module.mdl, module.train_states = network, detection.RNNStates()
    module._device = torch.device("cuda", 0)
    return module


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("size", "dtype"), LARGEST)
def test_a_frame_takes_few_operations(size: str, dtype: torch.dtype) -> None:
    network = build(size).eval()
    assert network.freeze(dtype)
    step = StreamingStep(network, (60, 90))
    inputs = [step.zero_frame(1), *step.initial_states()]
    with torch.no_grad():
        step(*inputs)  # anchors are kept
        with Count() as count:
            predictions, *states = step(*inputs)
    assert (predictions.dtype, {state.dtype for state in states}) == (torch.float32, {dtype})
    assert count.operations.total() <= BUDGETS["frame"][size], count.operations


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("size", "dtype"), LARGEST)
def test_detecting_takes_few_operations(monkeypatch: pytest.MonkeyPatch, size: str, dtype: torch.dtype) -> None:
    module, host = module_of(monkeypatch, build(size).eval()), torch.device("cpu")
    found: list[Tensor] = []
    monkeypatch.setattr(module.mdl, "boxes", lambda predictions, *_: found.append(predictions) or [])
    module.config = {"model": {"postprocess": {"confidence_threshold": 0.1, "nms_threshold": 0.45}}}
    frames, begins = torch.zeros((2, 2, 20, 60, 90), dtype=torch.uint8), torch.zeros(2, dtype=torch.bool, device=host)
    with half(dtype):
        _, states = module.detect_sequence(frames, None, begins)
    with half(dtype), Count() as count:
        module.detect_sequence(frames, states, begins)
    assert [tuple(predictions.shape) for predictions in found] == [(4, 126, 7)] * 2
    assert count.blocking == 0
    assert count.operations.total() <= BUDGETS["detecting"][size], count.operations


def test_a_frozen_network_gives_the_same_numbers() -> None:
    torch.manual_seed(0)
    network = YoloXDetector(tiny_config()).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.get_buffer("running_mean").normal_(std=0.1)
            module.get_buffer("running_var").uniform_(0.5, 1.5)
    step = StreamingStep(network, (60, 90))
    frames = torch.randint(0, 9, (2, 1, 20, 60, 90), dtype=torch.uint8)

    def two_frames() -> list[tuple[Tensor, ...]]:
        with torch.inference_mode():
            first = step(frames[0], *step.initial_states())
            return [first, step(frames[1], *first[1:])]

    before = two_frames()
    freeze(network, None)
    for old, new in zip(before, two_frames(), strict=True):
        torch.testing.assert_close(new, old, atol=1e-5, rtol=1e-5)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_weights_cast_together_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = YoloXDetector(tiny_config())
    frames = torch.randint(0, 9, (2, 1, 20, 60, 90), dtype=torch.uint8)

    def gradients() -> list[Tensor | None]:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            features, _ = network.features(network.prepare(frames), None)
            network.losses(network.select(features, torch.arange(2)), boxes)["loss"].backward()
        return [weight.grad for weight in network.parameters()]

    boxes = FrameBoxes(torch.tensor([[0.0, 10, 10, 30, 20, 0, 1, 1]]), torch.zeros(1, dtype=torch.int64), 2, (60, 90))
    plain = gradients()
    monkeypatch.setattr(half_weights, "pays", lambda part: True)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda kind: torch.bfloat16)
    for old, new in zip(plain, gradients(), strict=True):
        assert old is not None
        assert new is not None
        assert torch.equal(old, new)


def training_step(
    monkeypatch: pytest.MonkeyPatch, size: str, dtype: torch.dtype
) -> tuple[detection.Module, Callable[[], Count]]:
    """A training step of the detector, with three labelled frames; each call gives its counts."""
    module, host = module_of(monkeypatch, build(size)), torch.device("cpu")
    boxes = FrameBoxes(torch.zeros(0, 8, device=host), torch.zeros(0, device=host), 3, (60, 90))
    monkeypatch.setattr(detection, "boxes_of_frames", lambda labels, indices: boxes)
    monkeypatch.setattr(detector, "padded_targets", lambda boxes: torch.ones(3, 2, 7, device=host))
    monkeypatch.setattr(detection.Module, "log", lambda *_, **__: None)
    monkeypatch.setattr(detection.Module, "log_dict", lambda *_, **__: None)
    labels = SimpleNamespace(labelled_indices=lambda: torch.arange(3, device=host))
    batch = {
        "worker_id": 0,
        "is_first": torch.zeros(2, dtype=torch.bool, device=host),
        "inputs": FrameInputs(torch.zeros((5, 2, 20, 60, 90), dtype=torch.uint8)),
        "labels": labels,
    }

    def step() -> Count:
        with half(dtype), Count() as count:
            loss = module.training_step(batch, 0)
        assert loss.requires_grad
        return count

    return module, step


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("size", "dtype"), KINDS)
def test_a_training_step_takes_few_operations_and_waits_for_no_copy(
    monkeypatch: pytest.MonkeyPatch, size: str, dtype: torch.dtype
) -> None:
    module, step = training_step(monkeypatch, size, dtype)
    count = [step() for _ in range(2)][1]
    assert count.blocking == 0
    assert count.operations.total() <= BUDGETS["training"][size], count.operations
    states = flatten_states(module.train_states.get_states(0))
    kept = {state.untyped_storage()._cdata: state.untyped_storage().nbytes() for state in states}
    assert sum(kept.values()) == sum(2 * state.numel() for state in states), "what is kept holds on to more"
