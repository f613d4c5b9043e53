"""What differs in training on a GPU: the optimiser's kernels, and figures of states in float16."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from modules.callbacks.health import mean_and_max
from modules.optim import build_optimizer

RATES = {"learning_rate": 1e-3, "weight_decay": 0.0}


@pytest.mark.parametrize(
    ("device", "precision", "fused"),
    [("cpu", 16, True), ("cpu", 32, True), ("cuda", 32, True), ("cuda", 16, None), ("cuda", "bf16", None)],
)
def test_the_step_runs_on_all_weights_together(device: str, precision: object, fused: bool | None) -> None:
    with FakeTensorMode():
        weight = torch.nn.Parameter(torch.zeros(3, device=device))
        optimizer = build_optimizer([weight], {**RATES, "precision": precision})
    assert optimizer.defaults["fused"] is fused
    assert optimizer.defaults["foreach"] is None, "None lets torch choose, where fused is None too"
    may_clip = not getattr(optimizer, "_step_supports_amp_scaling", False)
    assert may_clip or device == "cpu" or precision == 32, "Lightning clips in mixed precision"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_figures_of_large_maps_of_states_are_finite(dtype: torch.dtype) -> None:
    state = torch.full((2, 64, 64, 64), 0.5, dtype=dtype)
    assert mean_and_max({"stage1": [state]}) == {"stage1": (0.5, 0.5)}


def test_figures_of_float64_keep_their_digits() -> None:
    assert mean_and_max({"a": [torch.full((4,), 1 + 2**-20, dtype=torch.float64)]})["a"][0] == 1 + 2**-20
