"""DMANet (AAAI 2023): detects in pillars of raw events, with a long and a short memory at three scales."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from models.detection.dmanet.anchors import PER_CELL, anchors, decode
from models.detection.dmanet.backbone import Head, Pyramid, residual_layer
from models.detection.dmanet.config import BLOCKS, DmaNetConfig
from models.detection.dmanet.detections import detections
from models.detection.dmanet.losses import frame_losses
from models.detection.dmanet.memory import AdaptiveConvLstm, Aggregation
from models.detection.dmanet.pillars import FEATURES, POLARITIES, PillarNet, columns
from models.detection.interface import Detector, FrameBoxes, count_in_words
from models.rnn_states import States
from models.transfer import to_device
from utils.boxes import Label
from utils.errors import UserError

MOST_LIVE = 1 << 15
"""Pillars of a polarity in a live window, whose size is fixed."""
_ONE_CELL = 128
"""Stride of the coarsest level."""
_PRIOR = 0.01
"""Score of every anchor before the first step."""


class DmaFeatures(NamedTuple):
    """Maps of frames; the first dimension is the frame.

    Attributes:
        short: of this window and what the one before adds, at the strides 8, 16 and 32.
        long: hidden states of the same scales.
        temporal: hidden states as the five levels of the pyramid.
    """

    short: list[Tensor]
    long: list[Tensor]
    temporal: list[Tensor]


class DmaNet(Detector):
    """Object detector for windows of events.

    Inputs are pillars float32 [L, B, 2, P, columns] (``models.detection.dmanet.pillars.columns``), brighter events
    first, on a square canvas that the sensor is stretched to. States are ``{"seen": [B], "memory": [(h, c, x), ...]}``,
    where x is the map of the window before.
    """

    family: ClassVar[str] = "dmanet"

    def __init__(self, cfg: DmaNetConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.input_channels = POLARITIES * FEATURES
        c1, c2, c3, c4 = cfg.channels
        blocks, dim = BLOCKS[cfg.depth], cfg.head_channels
        self.voxel_feature_extractor = PillarNet()
        self.input_layer = nn.Sequential(
            nn.Conv2d(self.input_channels, c1, 7, 2, 3, bias=False),
            nn.BatchNorm2d(c1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        self.layer1 = residual_layer(c1, c1, blocks[0], 1)
        self.layer2 = residual_layer(c1, c2, blocks[1], 2)
        self.layer3 = residual_layer(c2, c3, blocks[2], 2)
        self.layer4 = residual_layer(c3, c4, blocks[3], 2)
        self.layer2_lstm, self.layer3_lstm, self.layer4_lstm = (AdaptiveConvLstm(c, cfg.memory) for c in (c2, c3, c4))
        self.temporal_layer2 = nn.Sequential(nn.Conv2d(c2, dim, 1), nn.BatchNorm2d(dim))
        self.temporal_layer3, self.temporal_layer4 = (
            nn.Sequential(nn.BatchNorm2d(c)) if c == dim else nn.Sequential(nn.Conv2d(c, dim, 1), nn.BatchNorm2d(dim))
            for c in (c3, c4)
        )
        self.temporal_layer5, self.temporal_layer6 = (
            nn.Sequential(nn.Conv2d(dim, dim, 3, 2, 1), nn.BatchNorm2d(dim)) for _ in range(2)
        )
        self.aggregation_layer = nn.ModuleList(Aggregation(c) for c in (c2, c3, c4))
        self.fpn = Pyramid((c2, c3, c4), dim)
        self.regressionModel = Head(dim, dim, PER_CELL, 4)
        self.classificationModel = Head(dim, dim, PER_CELL, cfg.num_classes)
        self.register_buffer("anchors", anchors(cfg.size, cfg.size), persistent=False)
        self.anchors: Tensor
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Weights before the first step: convolutions by their outputs, heads that say nothing."""
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.normal_(0, math.sqrt(2 / (math.prod(part.kernel_size) * part.out_channels)))
        for head in (self.classificationModel, self.regressionModel):
            head.output.weight.zero_()
            assert head.output.bias is not None
            head.output.bias.zero_()
        assert self.classificationModel.output.bias is not None
        self.classificationModel.output.bias.fill_(-math.log((1 - _PRIOR) / _PRIOR))

    @property
    def keeps_states(self) -> bool:
        """Whether states go on from one recording into the next."""
        return self.cfg.memory.reset == "never"

    def prepare(self, inputs: Tensor) -> Tensor:
        """Pillars, checked to be such.

        Raises:
            UserError: anything else, such as frames.
        """
        wanted = (POLARITIES, columns(self.cfg.max_points))
        if inputs.dim() != 5 or not inputs.is_floating_point() or (inputs.shape[2], inputs.shape[4]) != wanted:
            raise UserError(
                expected=f"pillars [L, B, {wanted[0]}, P, {wanted[1]}], floating point",
                got=f"{inputs.dtype} {list(inputs.shape)}",
                where="what was given to the detector",
                fix="this model reads events, not frames: see docs/DMANET.md",
            )
        return inputs

    def blank(self, lanes: int, size_hw: tuple[int, int]) -> Tensor:
        """Pillars of an empty window; as many as live windows have room for."""
        most = min(self.cfg.size**2, MOST_LIVE)
        return torch.zeros(lanes, POLARITIES, most, columns(self.cfg.max_points))

    def picture(self, pillars: Tensor) -> Tensor:
        """What the residual layers see, [n, 16, size, size], of pillars [n, 2, P, columns]."""
        return self.voxel_feature_extractor(pillars, self.cfg.size)

    def look(self, picture: Tensor) -> list[Tensor]:
        """Maps at the strides 8, 16 and 32."""
        x2 = self.layer2(self.layer1(self.input_layer(picture)))
        x3 = self.layer3(x2)
        return [x2, x3, self.layer4(x3)]

    def features(self, inputs: Tensor, states: States) -> tuple[DmaFeatures, States]:
        """Maps of all L·B windows, and the states after the last ones.

        In training a norm sees the windows of one step together, as in the published program; else all at once.

        Raises:
            UserError: a norm would see a single number.
        """
        length, lanes = inputs.shape[:2]
        if self.training and lanes == 1 and self.cfg.size <= _ONE_CELL:
            raise UserError(
                expected="two lanes or more: the coarsest level of a small canvas is one cell",
                got=f"one lane, a canvas of {self.cfg.size} pixels",
                where="batch_size.train",
                fix=f"set batch_size.train=2, or model.pillars.size above {_ONE_CELL}",
            )
        picture = self.picture(inputs.flatten(0, 1))
        if self.training:
            looked = [self.look(step) for step in picture.split(lanes)]
        else:
            looked = list(zip(*(level.split(lanes) for level in self.look(picture)), strict=True))
        state = None if self.cfg.memory.reset == "clip" else states
        steps = []
        for maps in looked:
            found, state = self._remember(list(maps), state)
            steps.append(found)
        joined = ([torch.cat(level) for level in zip(*part, strict=True)] for part in zip(*steps, strict=True))
        assert length == len(steps)
        return DmaFeatures(*joined), state

    def _remember(self, maps: list[Tensor], state: States) -> tuple[DmaFeatures, States]:
        """One window of each lane."""
        seen = None if state is None else state["seen"] > 0
        before = [None] * len(maps) if state is None else state["memory"]
        short = [
            layer(x, None if old is None else old[2], seen)
            for layer, x, old in zip(self.aggregation_layer, maps, before, strict=True)
        ]
        cells = (self.layer2_lstm, self.layer3_lstm, self.layer4_lstm)
        memory = [cell(x, old, seen) for cell, x, old in zip(cells, maps, before, strict=True)]
        long = [hidden for hidden, _, _ in memory]
        layers = (self.temporal_layer2, self.temporal_layer3, self.temporal_layer4)
        temporal = [layer(x) for layer, x in zip(layers, long, strict=True)]
        temporal.append(self.temporal_layer5(temporal[-1]))
        temporal.append(self.temporal_layer6(temporal[-1]))
        return DmaFeatures(short, long, temporal), {"seen": maps[0].new_ones(len(maps[0])), "memory": memory}

    def select(self, features: DmaFeatures, indices: Tensor) -> DmaFeatures:
        """Maps of some windows."""
        return DmaFeatures(*([level.index_select(0, indices) for level in part] for part in features))

    def outputs(self, features: DmaFeatures) -> tuple[Tensor, Tensor]:
        """Logits [n, A, classes] and offsets [n, A, 4] of selected windows."""
        short, long = self.fpn(features.short), self.fpn(features.long)
        levels = [sum(level) for level in zip(short, long, features.temporal, strict=True)]
        logits = torch.cat([self.classificationModel(level) for level in levels], dim=1)
        return logits, torch.cat([self.regressionModel(level) for level in levels], dim=1)

    def losses(self, features: DmaFeatures, boxes: FrameBoxes) -> dict[str, Tensor]:
        """Class and box loss, means over the windows."""
        logits, offsets = self.outputs(features)
        rows = to_device(boxes.rows, logits.device)
        scale = self._to_canvas(boxes.size_hw, logits.device)
        corners = torch.stack(Label.corners(rows), dim=1) * scale
        class_id = rows[:, Label.CLASS_ID].long()
        found = []
        counts = torch.bincount(boxes.frame, minlength=boxes.num_frames).tolist()
        parts = zip(logits, offsets, corners.split(counts), class_id.split(counts), strict=True)
        with torch.autocast(logits.device.type, enabled=False):
            for own_logits, own_offsets, own_corners, own_classes in parts:
                losses = frame_losses(
                    own_logits,
                    own_offsets,
                    self.anchors,
                    own_corners,
                    own_classes,
                    self.cfg.loss,
                )
                found.append(torch.stack(losses))
        class_loss, box_loss = torch.stack(found).mean(dim=0)
        total = class_loss + self.cfg.loss.box_weight * box_loss
        return {"loss": total, "class_loss": class_loss, "box_loss": box_loss}

    def predictions(self, features: DmaFeatures) -> Tensor:
        """[n, A, 4 + classes]: corners in pixels of the frame, class probabilities."""
        logits, offsets = self.outputs(features)
        corners = decode(offsets, self.anchors, self.cfg.size, self.cfg.size)
        return torch.cat((corners / self._to_canvas(self.cfg.frame_hw, corners.device), logits.float().sigmoid()), 2)

    def boxes(self, predictions: Tensor, confidence: float, nms: float) -> list[Tensor]:
        """Detections [n, 7] of each window; an anchor may give a box of several classes, objectness is 1."""
        return [detections(frame, confidence, nms, self.cfg.max_candidates) for frame in predictions.float()]

    def _to_canvas(self, size_hw: tuple[int, int], device: torch.device) -> Tensor:
        """Factors of the corners of boxes, [4]."""
        height, width = size_hw
        x, y = self.cfg.size / width, self.cfg.size / height
        return torch.tensor((x, y, x, y), device=device)

    def size_in_words(self) -> str:
        """Parameters of the whole, of pillars, residual layers, memories and heads."""
        layers = nn.ModuleList([self.input_layer, self.layer1, self.layer2, self.layer3, self.layer4])
        memory = nn.ModuleList([self.layer2_lstm, self.layer3_lstm, self.layer4_lstm, self.aggregation_layer])
        between = [getattr(self, f"temporal_layer{level}") for level in range(2, 7)]
        heads = nn.ModuleList([*between, self.fpn, self.regressionModel, self.classificationModel])
        parts = {"pillars": self.voxel_feature_extractor, "layers": layers, "memory": memory, "heads": heads}
        return count_in_words(self, parts)

    def watched_states(self, states: States) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Hidden and cell states by layer."""
        memory: list[Any] = [] if states is None else states["memory"]
        hidden = {f"layer{i}": state[0] for i, state in enumerate(memory, 2)}
        return hidden, {f"layer{i}": state[1] for i, state in enumerate(memory, 2)}
