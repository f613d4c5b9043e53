"""From a query to its box."""

from __future__ import annotations

from torch import Tensor, nn


class BoxHead(nn.Module):
    """Three linear layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList((nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, 4)))

    def forward(self, x: Tensor) -> Tensor:
        """``[..., dim] -> [..., 4]``, before the sigmoid."""
        first, second, last = self.layers
        return last(second(first(x).relu()).relu())
