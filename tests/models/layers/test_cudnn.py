"""Recurrences as a GPU runs them, tried on the CPU: pieces, types, one buffer of weights; and what kept states hold."""

from __future__ import annotations

import pytest
import torch

from models.layers import cudnn
from models.layers.config import LstmConfig
from models.layers.gru import ConvGru
from models.layers.lstm import ConvLstm


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weights(gates: int, dim: int = 4) -> list[torch.Tensor]:
    return [randn(gates * dim, dim), randn(gates * dim, dim, seed=1), randn(gates * dim), randn(gates * dim, seed=2)]


CASES = [(cudnn.lstm, 4, 2), (cudnn.gru, 3, 1)]


@pytest.mark.parametrize(("kernel", "gates", "count"), CASES, ids=["lstm", "gru"])
@pytest.mark.parametrize("most", [3, 4, 100])
def test_pieces_give_the_numbers_and_gradients_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, kernel: cudnn.Kernel, gates: int, count: int, most: int
) -> None:
    x, params = randn(5, 10, 4).requires_grad_(), [w.requires_grad_() for w in weights(gates)]
    states = [randn(1, 10, 4, seed=seed) for seed in range(count)]
    expected = kernel(x, states, params)
    monkeypatch.setattr(cudnn, "MAX_PIXELS", most)
    sizes: list[int] = []

    def watched(part: torch.Tensor, *more: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        sizes.append(part.shape[1])
        return kernel(part, *more)

    found = cudnn.recur(watched, x, states, params)
    assert max(sizes) <= most
    assert sum(sizes) == 10
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    loss = [out[0].square().sum() + out[-1].sum() for out in (found, expected)]
    for a, b in zip(*(torch.autograd.grad(part, [x, *params]) for part in loss), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_weights_lie_in_one_buffer_in_order() -> None:
    before = [w.requires_grad_() for w in weights(4)]
    views = cudnn.one_piece(before)
    assert len({view.untyped_storage().data_ptr() for view in views}) == 1
    offset = 0
    for view, weight in zip(views, before, strict=True):
        assert view.storage_offset() == offset
        assert view.is_contiguous()
        assert torch.equal(view, weight)
        offset += weight.numel()
    assert views[0].untyped_storage().nbytes() == 4 * offset, "nothing but the weights, from the first byte on"


@pytest.mark.parametrize(
    ("version", "dtype"), [(91_200, torch.float32), (91_300, torch.bfloat16), (None, torch.float32)]
)
def test_bfloat16_needs_a_new_cudnn(monkeypatch: pytest.MonkeyPatch, version: int | None, dtype: torch.dtype) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: version)
    assert cudnn.cudnn_dtype(torch.bfloat16) == dtype
    assert cudnn.cudnn_dtype(torch.float16) == torch.float16
    seen: set[torch.dtype] = set()

    def watched(*arguments: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, states, params = arguments
        seen.update(tensor.dtype for tensor in (x, *states, *params))
        assert not torch.is_autocast_enabled("cpu")
        return x, *states

    x = randn(2, 3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = cudnn.recur(watched, x, [randn(1, 3, 4)], weights(3))
    assert seen == {dtype}
    assert {tensor.dtype for tensor in found} == {torch.bfloat16}, "as autocast asks for"


LAYERS = {
    "fused": lambda: ConvLstm(4, LstmConfig()),
    "loop": lambda: ConvLstm(4, LstmConfig(fused=False)),
    "depthwise": lambda: ConvLstm(4, LstmConfig(dws_conv=True)),
    "gru": lambda: ConvGru(4),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_the_kept_state_is_the_last_output_and_keeps_no_other(name: str, training: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]().train(training)
    x = randn(11, 2, 3, 5, 4)
    if dtype == torch.float64:
        layer, x = layer.double(), x.double()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        _, state = layer(x[:1], None)
        outputs, state = layer(x, state)
    states = state if isinstance(state, tuple) else (state,)
    assert torch.equal(states[0].permute(0, 2, 3, 1), outputs[-1])
    for tensor in states:
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.itemsize


def test_without_the_fused_lstm_the_numbers_are_the_same() -> None:
    torch.manual_seed(0)
    layer, x = ConvLstm(4, LstmConfig()), randn(3, 2, 3, 5, 4)
    assert layer.fused
    expected, _ = layer(x, None)
    layer.fused = ConvLstm(4, LstmConfig(fused=False)).fused
    torch.testing.assert_close(layer(x, None)[0], expected, atol=1e-6, rtol=1e-5)
