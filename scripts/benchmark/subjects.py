"""What is measured: detectors from the real configs, their inputs, and plain arithmetic to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from config.compose import compose
from models.detection.recurrent_backbone.maxvit_rnn import RNNDetector
from models.detection.rnndet.build import detector_config
from models.detection.rnndet.detector import YoloXDetector
from models.detection.yolox.columns import Target
from utils.errors import UserError
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
        config = compose(overrides)
        model, dataset = config["model"], config["dataset"]
        torch.manual_seed(0)
        self.detector = YoloXDetector(detector_config(model)).to(device)
        half = bool(dataset["downsample_by_factor_2"])
        height, width = (int(size) // (2 if half else 1) for size in dataset["sensor_hw"])
        self.frame_hw = (height, width)
        self.input_hw = padded_size(dataset["sensor_hw"], half, int(dataset["partition_split_32"]))
        self.device = device
        self.compiled = bool(model["backbone"].get("compile", {}).get("enable", False))

    @property
    def has_plain(self) -> bool:
        """Whether there is :func:`plain_arithmetic` for it."""
        return isinstance(self.detector.backbone, RNNDetector)

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
        rows = torch.ones(count, boxes, len(Target))
        rows[..., Target.CLASS_ID] = torch.arange(boxes) % self.detector.cfg.head.num_classes
        low, extent = torch.tensor([0.2, 0.2, 0.1, 0.1]), torch.tensor([0.6, 0.6, 0.2, 0.2])
        rows[..., Target.BOX] = torch.tensor([width, height, width, height]) * (low + extent * draw)
        return rows.to(self.device)


@contextmanager
def plain_arithmetic(detector: YoloXDetector) -> Iterator[None]:
    """Within it the detector runs frame by frame with every formula written out, as without fused kernels.

    Raises:
        UserError: its backbone is a network of timm, which has no such way.
    """
    backbone = detector.backbone
    if not isinstance(backbone, RNNDetector):
        raise UserError(
            expected="the recurrent transformer", got="a network of timm", where="model", fix="leave model= out"
        )
    before, backbone.plain = backbone.plain, True
    try:
        yield
    finally:
        backbone.plain = before
