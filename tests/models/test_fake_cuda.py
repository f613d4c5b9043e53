"""Types and devices of a GPU without one: tensors that have a device and a type, and no numbers.

What needs a number on the host cannot run on them, so that each test shows as well that nothing waits for the GPU.
Nor can a backward pass, whose engine asks for the streams of a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode

from models.detection.rnndet.detector import YoloXDetector
from models.detection.streaming import StreamingStep
from models.layers import attention, cudnn
from models.layers.config import LstmConfig
from models.layers.gru import ConvGru
from models.rnn_states import RNNStates
from tests.models.conftest import tiny_config

HALF = [torch.float16, torch.bfloat16]
TYPES = [torch.float32, *HALF]
ONE_IS_ENOUGH = [pytest.param(torch.float16, marks=pytest.mark.soak), torch.bfloat16]
"""bfloat16 is the one that libraries know less well."""


@contextmanager
def autocast(dtype: torch.dtype) -> Iterator[None]:
    """torch.autocast("cuda"), which without a GPU switches itself off."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", dtype != torch.float32)
    torch.set_autocast_dtype("cuda", dtype)
    try:
        yield
    finally:
        torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])


@pytest.fixture
def gpu() -> Iterator[None]:
    """New tensors lie on a GPU that is not there; the LSTM runs in single operations, of which shapes are known."""
    with FakeTensorMode(), enable_python_dispatcher(), torch.device("cuda"):
        yield


def frames(steps: int, lanes: int) -> Tensor:
    return torch.zeros((steps, lanes, 20, 64, 96), dtype=torch.uint8)


def targets(count: int) -> Tensor:
    return torch.ones(count, 3, 7)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", ONE_IS_ENOUGH)
def test_training_steps(dtype: torch.dtype) -> None:
    model, states = YoloXDetector(tiny_config()), RNNStates()
    for _ in range(2):
        with autocast(dtype):
            features, last = model.forward_sequence(frames(2, 2), states.get_states(0))
            chosen = {stage: maps.flatten(0, 1) for stage, maps in features.items()}
            predictions, losses = model.forward_detect(chosen, targets(4))
        states.save_states_and_detach(0, last)
        assert losses is not None
        assert {maps.dtype for maps in features.values()} == {dtype}
        assert {tensor.dtype for pair in last for tensor in pair} == {dtype}
        assert {predictions.dtype, *(loss.dtype for loss in losses.values() if loss.is_floating_point())} == {
            torch.float32
        }
        assert losses["loss"].requires_grad
        assert {losses["loss"].device, predictions.device} == {torch.device("cuda:0")}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", ONE_IS_ENOUGH)
def test_detection(dtype: torch.dtype) -> None:
    model = YoloXDetector(tiny_config()).eval()
    with torch.inference_mode(), autocast(dtype):
        features, states = model.forward_sequence(frames(2, 2))
        predictions, _ = model.forward_detect({stage: maps[-1] for stage, maps in features.items()})
        again, _, _ = model(frames(2, 2)[0], states)
    assert again is not None
    for out in (predictions, again):
        assert (out.dtype, out.device.type, out.shape) == (torch.float32, "cuda", (2, 126, 7))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", ONE_IS_ENOUGH)
def test_one_frame_at_a_time_keeps_the_type_of_its_states(dtype: torch.dtype) -> None:
    step = StreamingStep(YoloXDetector(tiny_config()), (60, 90))
    states = step.initial_states()
    with torch.inference_mode(), autocast(dtype):
        predictions, *new = step(step.zero_frame(1), *states)
    assert predictions.dtype == torch.float32
    for before, after in zip(states, new, strict=True):
        assert (after.dtype, after.device, after.shape) == (before.dtype, before.device, before.shape)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("version", "bfloat16"), [(91_300, torch.bfloat16), (90_100, torch.float32)])
def test_the_lstm_runs_in_the_type_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, version: int, bfloat16: torch.dtype
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: version)
    seen: list[set[torch.dtype]] = []

    def watched(x: Tensor, states: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, ...]:
        seen.append({tensor.dtype for tensor in (x, *states, *weights)})
        assert not torch.is_autocast_enabled("cuda"), "autocast would make it float16"
        return kernel(x, states, weights)

    kernel = cudnn.lstm
    monkeypatch.setattr(cudnn, "lstm", watched)
    model = YoloXDetector(tiny_config())
    for dtype, wanted in ((torch.float32, torch.float32), (torch.float16, torch.float16), (torch.bfloat16, bfloat16)):
        seen.clear()
        with autocast(dtype):
            _, states = model.forward_sequence(frames(2, 2))
        assert seen == [{wanted}] * 4
        assert {tensor.dtype for pair in states for tensor in pair} == {dtype}


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", ONE_IS_ENOUGH)
@pytest.mark.parametrize(
    "lstm", [LstmConfig(fused=False), LstmConfig(dws_conv=True), LstmConfig(dws_conv=True, dws_conv_only_hidden=False)]
)
def test_recurrences_that_are_looped_over(lstm: LstmConfig, dtype: torch.dtype) -> None:
    cfg = tiny_config()
    model = YoloXDetector(replace(cfg, backbone=replace(cfg.backbone, lstm=lstm)))
    with autocast(dtype):
        features, states = model.forward_sequence(frames(2, 2))
        features, states = model.forward_sequence(frames(2, 2), states)
    for tensor in (*features.values(), *(part for pair in states for part in pair)):
        assert (tensor.device.type, tensor.requires_grad) == ("cuda", True)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", TYPES)
def test_the_gru(dtype: torch.dtype) -> None:
    layer = ConvGru(8)
    with autocast(dtype):
        _, state = layer(torch.zeros(3, 2, 4, 6, 8), None)
        outputs, state = layer(torch.zeros(3, 2, 4, 6, 8), state)
    assert outputs.dtype == state.dtype == dtype


@pytest.mark.usefixtures("gpu")
def test_more_windows_than_a_grid_has_places(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, sizes = torch.nn.functional.scaled_dot_product_attention, []

    def watched(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        sizes.append(len(query))
        return plain(query, key, value)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    layer = attention.PartitionAttention(32, (8, 10), False, attention.AttentionConfig(dim_head=32))
    out = layer(torch.zeros(1344, 64, 80, 32))
    assert out.shape == (1344, 64, 80, 32)
    assert sizes == [43_008, 43_008]
