"""What is done to frames without labels before the detector sees them: harder to read, with every box in its place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from modules.semi.settings import StrongSettings

_WORD = 14
"""First word of the entropies; those of sampling and of lanes lie below."""


class StrongAugmentation:
    """Changes frames on their device, each lane in its own way and all frames of a lane alike.

    The random numbers are a function of the entropy alone: nothing global is drawn from, nothing is kept.

    Args:
        settings: what may happen.
        bins: time bins of a frame; channels are polarity · bins + bin, or signed without polarities.
        max_count: whole counts do not grow beyond, None for what their type holds.
        seed: of the run.
    """

    def __init__(self, settings: StrongSettings, bins: int, max_count: int | None, seed: int) -> None:
        self.settings, self.bins, self.max_count, self.seed = settings, bins, max_count, seed

    def __call__(self, frames: Tensor, entropy: Sequence[int]) -> Tensor:
        """Changed frames of the same shape and type, in memory of their own.

        Args:
            frames: [L, B, C, H, W], uint8, int8 or floating point; they stay as they are.
            entropy: what tells these frames from all others of a run.
        """
        rng = np.random.default_rng((_WORD, self.seed, *entropy))
        noise = torch.Generator(frames.device).manual_seed(int(rng.integers(1 << 62)))
        changed = frames.clone(memory_format=torch.contiguous_format)
        for lane in range(frames.shape[1]):
            self._change(changed[:, lane], rng, noise)
        return changed

    def _change(self, lane: Tensor, rng: np.random.Generator, noise: torch.Generator) -> None:
        """Change the frames [L, C, H, W] of a lane in place; always the same number of draws for each change."""
        settings = self.settings
        chance, amount = rng.random(5), rng.random(3)
        lost = amount[0] * settings.dropout_share if chance[0] < settings.dropout_prob else 0.0
        factor = (1 + settings.scale_factor) ** (2 * amount[1] - 1) if chance[1] < settings.scale_prob else 1.0
        if lost > 0.0 or factor != 1.0:
            lane.copy_(self._counts(lane, 1.0 - lost, factor, noise))
        length, height, width = len(lane), *lane.shape[-2:]
        empty = rng.random((length, self.bins)) < amount[2] * settings.bins_share
        if chance[2] < settings.bins_prob:
            kept = torch.from_numpy(~empty).to(lane.device, lane.dtype)
            lane.view(length, -1, self.bins, height, width).mul_(kept[:, None, :, None, None])
        polarity = int(rng.integers(2))
        if chance[3] < settings.polarity_prob:
            self._lose_polarity(lane, polarity)
        patches, places = int(rng.integers(1, settings.erase_patches + 1)), rng.random((settings.erase_patches, 4))
        if chance[4] < settings.erase_prob:
            for tall, wide, down, across in places[:patches]:
                h, w = (max(round(u * settings.erase_side * n), 1) for u, n in ((tall, height), (wide, width)))
                y, x = int(down * (height - h + 1)), int(across * (width - w + 1))
                lane[..., y : y + h, x : x + w] = 0

    def _counts(self, lane: Tensor, keep: float, factor: float, noise: torch.Generator) -> Tensor:
        """Counts of which some are lost, the others times a factor; whole ones are rounded up or down at random."""
        whole = not lane.is_floating_point()
        counts = lane.float()
        if keep < 1.0:
            counts *= torch.rand(lane.shape, generator=noise, device=lane.device) < keep
        if factor != 1.0:
            counts *= factor
            if whole:
                sign = counts.sign()
                counts.abs_().add_(torch.rand(lane.shape, generator=noise, device=lane.device)).floor_().mul_(sign)
        if whole:
            most = torch.iinfo(lane.dtype).max
            limit = most if self.max_count is None else min(self.max_count, most)
            counts.clamp_(-limit, limit)
        return counts

    def _lose_polarity(self, lane: Tensor, polarity: int) -> None:
        if lane.shape[1] == 2 * self.bins:
            lane[:, polarity * self.bins : (polarity + 1) * self.bins] = 0
        elif lane.dtype != torch.uint8:
            lane.clamp_(max=0) if polarity else lane.clamp_(min=0)
