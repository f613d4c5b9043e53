"""What every network that sharpens clips offers; training, evaluation and tiles know no more of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.detection.interface import count_in_words


class Restorer(nn.Module, ABC):
    """A network that makes sharp frames of blurred ones and of what a fast sensor counted meanwhile.

    Attributes:
        family: name of its ``ModelSpec``.
        spike_bins: parts of an exposure in which spikes were counted; 0 for a network that looks at frames alone.
    """

    family: ClassVar[str]
    spike_bins: int

    @abstractmethod
    def restore(self, blurred: Tensor, spikes: Tensor | None) -> Tensor:
        """Sharpen clips.

        Args:
            blurred: RGB in [0, 1], [B, T, 3, H, W], of any height and width.
            spikes: counts [B, T, K, H, W]; None for a network without ``spike_bins``.

        Returns:
            RGB [B, T, 3, H, W], not limited to [0, 1].

        Raises:
            UserError: clips that this network cannot take.
        """

    @abstractmethod
    def losses(self, restored: Tensor, sharp: Tensor) -> dict[str, Tensor]:
        """Losses of :meth:`restore` against sharp frames, scalars by name; ``loss`` is the one to be minimised."""

    def check_alone(self) -> None:
        """Check that :meth:`restore` needs nothing but clips, which is all that commands have.

        Raises:
            UserError: the settings say that the caller gives more.
        """

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Parts whose gradients are watched, by the name they are told with."""
        return dict(self.named_children())

    def size_in_words(self) -> str:
        """Parameters of the whole and of its parts."""
        return count_in_words(self, self.parts)


def charbonnier(difference: Tensor, delta: float) -> Tensor:
    """The mean of √(d² + delta²): nearly the absolute error, smooth at zero.

    >>> round(charbonnier(torch.tensor([3.0, -3.0]), 4.0).item(), 3)
    5.0
    """
    return torch.sqrt(difference.square() + delta * delta).mean()
