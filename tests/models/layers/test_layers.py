"""Layers against plain formulas and torch's own kernels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from models.layers import attention
from models.layers.attention import AttentionBlock, PartitionAttention
from models.layers.config import AttentionConfig, LstmConfig
from models.layers.lstm import ConvLstm
from models.layers.small_window import SmallWindowAttention


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("tokens", [1, 6, 15])
def test_small_windows_equal_fused_attention(tokens):
    qkv = randn(3, 8, tokens, 4) * 3
    expected = F.scaled_dot_product_attention(*qkv.unbind(0))
    torch.testing.assert_close(SmallWindowAttention.apply(qkv, 0.5), expected, atol=1e-6, rtol=1e-5)


def test_small_window_gradient():
    qkv = randn(3, 2, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: SmallWindowAttention.apply(x, 0.7), (qkv,))


def test_small_windows_survive_large_logits():
    out = SmallWindowAttention.apply(randn(3, 4, 6, 2) * 1e4, 1.0)
    assert torch.isfinite(out).all()


def naive_attention(layer, x, grid):
    """Token by token: who shares a window (or a grid cell) attends to whom."""
    n, h, w, c = x.shape
    ph, pw = layer.partition_size
    out = torch.zeros_like(x)
    d = c // layer.num_heads
    for i in range(h):
        for j in range(w):
            if grid:
                peers = [(a, b) for a in range(i % (h // ph), h, h // ph) for b in range(j % (w // pw), w, w // pw)]
            else:
                peers = [
                    (a, b)
                    for a in range(i // ph * ph, i // ph * ph + ph)
                    for b in range(j // pw * pw, j // pw * pw + pw)
                ]
            own = layer.qkv(x[:, i, j]).view(n, layer.num_heads, 3, d)
            other = torch.stack([layer.qkv(x[:, a, b]).view(n, layer.num_heads, 3, d) for a, b in peers], dim=1)
            logits = torch.einsum("nhd,nkhd->nhk", own[:, :, 0], other[:, :, :, 1]) * d**-0.5
            out[:, i, j] = torch.einsum("nhk,nkhd->nhd", logits.softmax(-1), other[:, :, :, 2]).reshape(n, c)
    return layer.proj(out)


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("small", [False, True])
def test_windows_and_grid(grid, small, monkeypatch):
    if not small:
        monkeypatch.setattr(attention, "use_small_window", lambda *_: False)
    torch.manual_seed(0)
    layer = PartitionAttention(8, (2, 3), grid, AttentionConfig(dim_head=4))
    x = randn(2, 4, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), naive_attention(layer, x, grid), atol=1e-5, rtol=1e-4)


def test_gated_mlp_and_drops_only_act_in_training():
    torch.manual_seed(0)
    cfg = AttentionConfig(dim_head=16, mlp_gated=True, drop_mlp=0.5, drop_path=0.5, ls_init_value=1.0)
    block = AttentionBlock(32, (2, 2), False, False, cfg)
    assert block.mlp.net[2].in_features == 64
    assert block.mlp.net[0].proj.out_features == 128
    x = randn(4, 4, 4, 32)
    block.eval()
    assert torch.equal(block(x), block(x))
    block.train()
    assert not torch.equal(block(x), block(x))


def pixel_lstm(layer, x, h, c):
    """The textbook recurrence on cat(x, h)."""
    out = []
    for frame in x:
        hidden, inputs = h, frame
        if layer.conv3x3_dws is not None and layer.conv_input:
            both = layer.conv3x3_dws(torch.cat((frame, h), -1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            inputs, hidden = both.chunk(2, -1)
        elif layer.conv3x3_dws is not None:
            hidden = layer.conv3x3_dws(h.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        gates = layer.conv1x1(torch.cat((inputs, hidden), -1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        f, i, o, g = gates.chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        out.append(h)
    return torch.stack(out), c


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "cfg", [LstmConfig(), LstmConfig(dws_conv=True), LstmConfig(dws_conv=True, dws_conv_only_hidden=False)]
)
def test_lstm_is_the_textbook_one(cfg, steps, training):
    torch.manual_seed(1)
    layer = ConvLstm(4, cfg).train(training)
    x = randn(steps, 2, 3, 5, 4).requires_grad_()
    h, c = randn(2, 3, 5, 4, seed=1), randn(2, 3, 5, 4, seed=2)
    out, (last_h, last_c) = layer(x, (h.permute(0, 3, 1, 2), c.permute(0, 3, 1, 2)))
    expected, expected_c = pixel_lstm(layer, x, h, c)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(last_h.permute(0, 2, 3, 1), expected[-1], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(last_c.permute(0, 2, 3, 1), expected_c, atol=1e-6, rtol=1e-5)
    weight = randn(*out.shape, seed=3)
    inputs = [x, *layer.parameters()]
    for a, b in zip(
        torch.autograd.grad((out * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_cell_dropout_only_acts_in_training():
    layer = ConvLstm(4, LstmConfig(drop_cell_update=0.5))
    x = randn(3, 1, 2, 2, 4)
    assert not torch.equal(layer(x, None)[0], layer(x, None)[0])
    layer.eval()
    assert torch.equal(layer(x, None)[0], layer(x, None)[0])


def test_chrono_initialisation():
    layer = ConvLstm(2, LstmConfig(), chrono_t_max=20)
    assert layer.conv1x1.bias[:2].tolist() == pytest.approx([2.9957] * 2, abs=1e-4)
    assert layer.conv1x1.bias[2:4].tolist() == pytest.approx([-2.9957] * 2, abs=1e-4)


def test_a_processor_without_bfloat16_kernels_runs_the_lstm_in_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    layer = ConvLstm(4, LstmConfig(dws_conv=False))
    x = randn(3, 2, 5, 6, 4).requires_grad_()
    expected, (_, cell) = layer(x, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, state = layer(x, None)
    assert {outputs.dtype, state[0].dtype, state[1].dtype} == {torch.bfloat16}, "as of other processors"
    torch.testing.assert_close(outputs.float(), expected, atol=0, rtol=2**-8)
    torch.testing.assert_close(state[1].float(), cell, atol=0, rtol=2**-8)
    (gradient,) = torch.autograd.grad(outputs.float().sum(), x)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), x)[0], atol=1e-6, rtol=1e-5)
