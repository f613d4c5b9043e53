"""Attention of more windows than a GPU's kernels take at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers import attention
from models.layers.attention import attend
from models.layers.config import AttentionConfig


@pytest.mark.parametrize("most", [1, 3, 4, 7, 100])
def test_groups_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    qkv = torch.randn(3, 7, 2, 5, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    sizes: list[int] = []

    def watched(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        sizes.append(len(query))
        return plain(query, key, value)

    plain = F.scaled_dot_product_attention
    expected = plain(*qkv.unbind(0))
    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    found = attend(qkv, most)
    assert max(sizes) <= most
    assert sum(sizes) == 7
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    grads = [torch.autograd.grad(out.square().sum(), qkv)[0] for out in (found, expected)]
    torch.testing.assert_close(*grads, atol=1e-6, rtol=1e-5)


def test_a_cpu_takes_all_windows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []

    def watched(qkv: Tensor, most: int) -> Tensor:
        given.append((qkv.shape[1], most))
        return attend(qkv, most)

    monkeypatch.setattr(attention, "MAX_WINDOWS", 2)
    monkeypatch.setattr(attention, "attend", watched)
    layer = attention.PartitionAttention(8, (4, 4), False, AttentionConfig(dim_head=4))
    layer(torch.randn(2, 8, 8, 8))
    assert given == [(8, 8)]


def test_a_cpu_attends_in_float32_where_the_rest_is_bfloat16() -> None:
    qkv = torch.randn((3, 5, 2, 6, 4), generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attention.attend_windows(qkv, 2, 6)
    wanted = attend(qkv.float(), 5)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, wanted.bfloat16())
