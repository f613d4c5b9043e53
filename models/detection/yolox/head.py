"""Decoupled YOLOX head over three maps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.detection.yolox.anchors import Anchors, make_anchors
from models.detection.yolox.blocks import BaseConv, spatial_conv
from models.detection.yolox.columns import Output
from models.detection.yolox.config import HeadConfig
from models.detection.yolox.losses import detection_losses

PRIOR_PROBABILITY = 0.01


class YOLOXHead(nn.Module):
    """Class, box and objectness outputs for every cell of every map.

    Args:
        cfg: classes and loss settings.
        in_channels: channels of the maps, finest first; the hidden width is a quarter of the last.
        strides: pixels of a cell in each map.
    """

    def __init__(self, cfg: HeadConfig, in_channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.cfg = cfg
        self.num_classes = cfg.num_classes
        self.strides = strides
        hidden = in_channels[-1] // 4
        maps = range(len(in_channels))

        def branch() -> nn.Module:
            return nn.Sequential(*(spatial_conv(hidden, hidden, 3, 1, cfg.depthwise) for _ in range(2)))

        self.cls_convs = nn.ModuleList(branch() for _ in maps)
        self.reg_convs = nn.ModuleList(branch() for _ in maps)
        self.cls_preds = nn.ModuleList(nn.Conv2d(hidden, cfg.num_classes, 1) for _ in maps)
        self.reg_preds = nn.ModuleList(nn.Conv2d(hidden, 4, 1) for _ in maps)
        self.obj_preds = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in maps)
        self.stems = nn.ModuleList(BaseConv(channels, hidden, 1) for channels in in_channels)
        self._init_biases()
        self._anchors: dict[tuple[object, ...], Anchors] = {}

    def _init_biases(self) -> None:
        """Start with probability 0.01 for every class and objectness (Lin et al., 2017)."""
        prior = -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY)
        for conv in (*self.cls_preds, *self.obj_preds):
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            nn.init.constant_(conv.bias, prior)

    def raw_outputs(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Anchors]:
        """Undecoded outputs.

        Args:
            features: maps [N, C, h, w], finest first.

        Returns:
            [N, A, 4 + 1 + classes] (box, objectness logit, class logits) and the anchors.
        """
        outputs = []
        for k, feature in enumerate(features):
            x = self.stems[k](feature)
            cls_out = self.cls_preds[k](self.cls_convs[k](x))
            reg_feature = self.reg_convs[k](x)
            out = torch.cat((self.reg_preds[k](reg_feature), self.obj_preds[k](reg_feature), cls_out), dim=1)
            outputs.append(out.flatten(2))
        anchors = self._anchors_for(features)
        return torch.cat(outputs, dim=2).transpose(1, 2), anchors

    def _anchors_for(self, features: tuple[Tensor, ...]) -> Anchors:
        """Anchors of maps of these sizes; remembered per size and device."""
        sizes = tuple((int(f.shape[-2]), int(f.shape[-1])) for f in features)
        device = features[0].device
        key = (sizes, device)
        if torch.compiler.is_compiling():  # asked first: a graph that has looked is compiled again when one is added
            return make_anchors(sizes, self.strides, torch.float32, device)
        if key not in self._anchors:
            # Made while detecting, they would be unfit for a later training step.
            with torch.inference_mode(False):
                self._anchors[key] = make_anchors(sizes, self.strides, torch.float32, device)
        return self._anchors[key]

    @staticmethod
    def decode(raw: Tensor, anchors: Anchors) -> Tensor:
        """Boxes in pixels and probabilities.

        Args:
            raw: [N, A, 5 + classes] of :meth:`raw_outputs`.
            anchors: its anchors.

        Returns:
            [N, A, 5 + classes]: cx, cy, w, h in pixels of the padded input, objectness, class probabilities.
        """
        centre = (raw[..., Output.CENTRE] + anchors.grid) * anchors.stride
        size = raw[..., Output.SIZE].exp() * anchors.stride
        return torch.cat((centre, size, raw[..., Output.SCORES].sigmoid()), dim=-1)

    def forward(
        self, features: tuple[Tensor, ...], targets: Tensor | None = None, weight: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Predictions and, with targets, losses.

        Args:
            features: maps [N, C, h, w], finest first.
            targets: [N, M, 7] rows class_id, cx, cy, w, h, objectness, class_confidence; zero rows are padding.
            weight: [N], what each frame counts in the losses; None for equal.

        Returns:
            predictions [N, A, 5 + classes] as of :meth:`decode` (float32) and the losses of
            :func:`models.detection.yolox.losses.detection_losses`, None without targets.
        """
        raw, anchors = self.raw_outputs(features)
        with torch.autocast(raw.device.type, enabled=False):
            raw = raw if raw.dtype == torch.float64 else raw.float()
            predictions = self.decode(raw, anchors)
            if targets is None:
                return predictions, None
            found = predictions[..., Output.BOX]
            losses = detection_losses(raw, found, anchors, targets.to(raw.dtype), self.cfg, weight)
        return predictions.detach(), losses
