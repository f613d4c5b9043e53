"""Long and short memory of a scale."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detection.dmanet.config import MemoryConfig

State = tuple[Tensor, Tensor, Tensor]
"""Hidden and cell state, and the map of the window before, [B, C, h, w] each."""


class Embedding(nn.Module):
    """What two maps are compared by."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.embed_convs = nn.Sequential(
            nn.Conv2d(dim, dim, 3, 1, 1), nn.ReLU(), nn.Conv2d(dim, dim, 3, 1, 1), nn.ReLU()
        )

    def forward(self, now: Tensor, before: Tensor, eps: float) -> Tensor:
        """Cosine of the channels [B, 1, h, w], from 0 to 1, as none of them is negative."""
        pair = self.embed_convs(torch.cat((now, before)))
        first, second = pair.chunk(2)
        return alike(first, second, eps)


def in_float32(device: torch.device) -> AbstractContextManager[object]:
    """No autocast: sums over many channels leave the range of half precision."""
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()


def alike(now: Tensor, before: Tensor, eps: float) -> Tensor:
    """Cosine over the channels [B, 1, h, w] of maps [B, C, h, w].

    Its gradient grows as 1 / norm where a map is nearly zero; ``eps`` is what limits that.
    """
    with in_float32(now.device):
        first, second = (x / (x.norm(dim=1, keepdim=True) + eps) for x in (now.float(), before.float()))
        return (first * second).sum(dim=1, keepdim=True)


class AdaptiveConvLstm(nn.Module):
    """A convolutional LSTM whose old state counts where the map is like the one before."""

    def __init__(self, dim: int, config: MemoryConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_layer = Embedding(dim)
        self.Gates = nn.Conv2d(2 * dim, 4 * dim, 3, 1, 1)
        if config.cell == "plain":  # kept for the names of the weights
            self.embed_layer.requires_grad_(False)

    def forward(self, x: Tensor, state: State | None, seen: Tensor | None) -> State:
        """One window.

        Args:
            x: map [B, C, h, w].
            state: after the window before; None where no lane has one.
            seen: bool [B], the lanes that have one.
        """
        first = x if self.config.first_hidden == "input" else torch.zeros_like(x)
        hidden, cell = first, torch.zeros_like(x)
        if state is not None:
            assert seen is not None, "states come with the lanes that have one"
            old_hidden, old_cell, before = state
            if self.config.cell == "adaptive":
                weight = self.weight(x, before)
                old_hidden, old_cell = weight * old_hidden, weight * old_cell
            known = seen[:, None, None, None]
            hidden = torch.where(known, old_hidden, first)
            cell = torch.where(known, old_cell, cell)
        enter, keep, out, new = self.Gates(torch.cat((x, hidden), dim=1)).chunk(4, dim=1)
        cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
        return out.sigmoid() * cell.tanh(), cell, x

    def weight(self, x: Tensor, before: Tensor) -> Tensor:
        """How much the old state counts, [B, 1, h, w]."""
        weight = self.embed_layer(x, before, self.config.weight_eps)
        return weight.detach() if self.config.detach_weight else weight


class Aggregation(nn.Module):
    """Adds to a map what the map before holds where it is alike (non-local attention)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner = dim // 2
        self.g = nn.Conv2d(dim, self.inner, 1)
        self.theta = nn.Conv2d(dim, self.inner, 1)
        self.phi = nn.Conv2d(dim, self.inner, 1)
        self.att_layer = nn.Conv2d(self.inner, dim, 1)

    def forward(self, x: Tensor, before: Tensor | None, seen: Tensor | None) -> Tensor:
        """[B, C, h, w]; lanes that have no map before are left as they are (``seen`` bool [B])."""
        if before is None:
            return x
        assert seen is not None, "maps come with the lanes that have one"
        query = self.theta(x).flatten(2).transpose(1, 2)
        key = F.max_pool2d(self.phi(before), 2).flatten(2)
        value = F.max_pool2d(self.g(before), 2).flatten(2).transpose(1, 2)
        with in_float32(x.device):
            scores = torch.matmul(query.float(), key.float()) / self.inner**0.5
            found = torch.matmul(scores.softmax(dim=-1), value.float())
        found = found.transpose(1, 2).unflatten(2, x.shape[-2:])
        return torch.where(seen[:, None, None, None], x + self.att_layer(found), x)
