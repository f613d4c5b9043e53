"""What differs in training on a GPU: the optimiser's kernels, and figures of states in float16."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from modules import detection
from modules.callbacks.health import mean_and_max
from modules.optim import build_optimizer

RATES = {"learning_rate": 1e-3, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("device", "precision", "fused"),
    [
        *(("cpu", 16, True), ("cpu", 32, True), ("cpu", "bf16", None)),
        *(("cuda", 32, True), ("cuda", 16, None), ("cuda", "bf16", None)),
    ],
)
def test_the_step_runs_on_all_weights_together(device: str, precision: object, fused: bool | None) -> None:
    with FakeTensorMode():
        weight = torch.nn.Parameter(torch.zeros(3, device=device))
        optimizer = build_optimizer([weight], {**RATES, "precision": precision})
    assert optimizer.defaults["fused"] is fused
    assert optimizer.defaults["foreach"] is None, "None lets torch choose, where fused is None too"
    may_clip = not getattr(optimizer, "_step_supports_amp_scaling", False)
    assert may_clip or precision == 32 or (device, precision) == ("cpu", 16), "Lightning clips in mixed precision"


@pytest.mark.parametrize(
    "ask",
    [Tensor.item, Tensor.nonzero, lambda x: bool(x.any()), lambda x: x[x > 0], lambda x: int(x.sum())],
)
def test_what_makes_the_host_wait_cannot_run_on_a_gpu_that_is_not_there(ask: Callable[[Tensor], object]) -> None:
    with FakeTensorMode(), pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        ask(torch.ones(1, device="cuda"))


def test_clipping_and_the_optimiser_wait_for_nothing() -> None:
    with FakeTensorMode():
        weights = [torch.nn.Parameter(torch.zeros(size, device="cuda")) for size in (3, 4)]
        optimizer = build_optimizer(weights, {**RATES, "precision": 32})
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    assert {tensor.device.type for state in optimizer.state.values() for tensor in state.values()} == {"cuda"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_figures_of_large_maps_of_states_are_finite(dtype: torch.dtype) -> None:
    state = torch.full((2, 64, 64, 64), 0.5, dtype=dtype)
    assert mean_and_max({"stage1": [state]}) == {"stage1": (0.5, 0.5)}


def test_figures_of_float64_keep_their_digits() -> None:
    assert mean_and_max({"a": [torch.full((4,), 1 + 2**-20, dtype=torch.float64)]})["a"][0] == 1 + 2**-20


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9])
def test_detections_are_those_of_the_frames_that_were_asked_for(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    seen: list[int] = []

    class Network:
        def select(self, features: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            return features[indices]

        def detections(self, features: torch.Tensor, confidence: float, nms: float) -> list[torch.Tensor]:
            seen.append(len(features))
            return list(features)

    monkeypatch.setattr(detection, "_tunes", lambda device: True)
    module = SimpleNamespace(
        config={"model": {"postprocess": {"confidence_threshold": 0.1, "nms_threshold": 0.45}}},
        device=torch.device("cpu"),
        mdl=Network(),
    )
    found = detection.Module.detect(module, torch.arange(20), torch.arange(count))  # type: ignore[arg-type]
    assert [int(number) for number in found] == list(range(count))
    assert seen == [-(-count // 8) * 8]
