"""What is measured: detectors from the real configs, their inputs, and plain arithmetic to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hydra
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor

from config.resolvers import register_resolvers
from models.detection.yolox_extension.models.detector import YoloXDetector
from models.layers import attention
from models.layers.lstm import ConvLstm
from modules.utils.build import detector_config
from utils.cli import CONFIG_DIR, explain
from utils.padding import padded_size

DEFAULT_OVERRIDES = ("dataset=gen1", "+experiment/gen1=tiny")
QUICK_OVERRIDES = (
    "dataset=gen1", "dataset.sensor_hw=[60,90]", "model.backbone.embed_dim=8", "model.backbone.attention.dim_head=8",
    "model.fpn.depth=0.33",
)  # fmt: skip


class Subject:
    """A detector with fresh weights and frames for it.

    Args:
        overrides: of the training config, e.g. ``dataset=gen1 +experiment/gen1=small``.
        device: where it runs.

    Attributes:
        detector: the network.
        frame_hw: height and width of a frame before padding.
        input_hw: and after it.

    Raises:
        UserError: the overrides do not compose.
    """

    def __init__(self, overrides: Sequence[str], device: torch.device) -> None:
        register_resolvers()
        try:
            with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
                config = hydra.compose("train", overrides=list(overrides))
                model = OmegaConf.to_container(config.model, resolve=True)
        except Exception as error:
            raise explain(error, "train") from error
        assert isinstance(model, dict)
        torch.manual_seed(0)
        self.detector = YoloXDetector(detector_config({str(key): value for key, value in model.items()})).to(device)
        half = bool(config.dataset.downsample_by_factor_2)
        height, width = (int(size) // (2 if half else 1) for size in config.dataset.sensor_hw)
        self.frame_hw = (height, width)
        self.input_hw = padded_size(config.dataset.sensor_hw, half, int(config.dataset.partition_split_32))
        self.device = device
        self.compiled = bool(model["backbone"].get("compile", {}).get("enable", False))

    def frames(self, steps: int, lanes: int, padded: bool = True) -> Tensor:
        """Sparse random counts uint8 [steps, lanes, C, H, W]."""
        channels = self.detector.cfg.backbone.input_channels
        size = self.input_hw if padded else self.frame_hw
        counts = torch.poisson(torch.full((steps, lanes, channels, *size), 0.1), torch.Generator().manual_seed(0))
        return counts.clamp_(max=10).to(torch.uint8).to(self.device)

    def targets(self, count: int, boxes: int = 5) -> Tensor:
        """Boxes for ``count`` frames, [count, boxes, 7]."""
        draw = torch.rand((count, boxes, 4), generator=torch.Generator().manual_seed(0))
        height, width = self.frame_hw
        rows = torch.ones(count, boxes, 7)
        rows[..., 0] = torch.arange(boxes) % self.detector.cfg.head.num_classes
        rows[..., 1], rows[..., 2] = width * (0.2 + 0.6 * draw[..., 0]), height * (0.2 + 0.6 * draw[..., 1])
        rows[..., 3], rows[..., 4] = width * (0.1 + 0.2 * draw[..., 2]), height * (0.1 + 0.2 * draw[..., 3])
        return rows.to(self.device)


def softmax_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention as the formula says it: [..., T, d] each."""
    weights = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(dim=-1)
    return weights @ value


@contextmanager
def plain_arithmetic() -> Iterator[None]:
    """Attention written out and LSTM gates computed frame by frame, as an implementation without fused kernels."""
    saved = F.scaled_dot_product_attention, attention.use_small_window, ConvLstm.is_plain
    F.scaled_dot_product_attention = softmax_attention
    attention.use_small_window = lambda *_: False
    ConvLstm.is_plain = property(lambda _: False)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        F.scaled_dot_product_attention, attention.use_small_window, ConvLstm.is_plain = saved  # type: ignore[assignment,method-assign]
