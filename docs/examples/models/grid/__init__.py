"""The least that a detector can be: one convolution, a box for each cell of a grid, and a fading memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detection.interface import Detector, FrameBoxes
from models.detection.yolox.postprocess import postprocess
from models.registry import ModelSpec
from models.rnn_states import States
from utils.boxes import LABEL_COLUMNS

NEEDED = [LABEL_COLUMNS.index(name) for name in ("x", "y", "w", "h", "class_id")]


class GridDetector(Detector):
    """Looks at cells of ``stride`` x ``stride`` pixels; maps are [n, 4 + classes, rows, columns]."""

    family: ClassVar[str] = "grid"

    def __init__(self, input_channels: int, num_classes: int, stride: int) -> None:
        super().__init__()
        self.input_channels, self.num_classes, self.stride = input_channels, num_classes, stride
        self.look = nn.Conv2d(input_channels, 4 + num_classes, stride, stride)

    def prepare(self, inputs: Tensor) -> Tensor:
        """Frames [L, B, C, H, W] as floats, padded to whole cells."""
        missing = [-side % self.stride for side in inputs.shape[-2:]]
        return F.pad(inputs.float(), (0, missing[1], 0, missing[0]))

    def features(self, inputs: Tensor, states: States) -> tuple[Tensor, States]:
        """Maps of all frames [L, B, 4 + classes, rows, columns]; each adds half of the map before it."""
        maps = []
        memory = None if states is None else states["memory"]
        for look in self.look(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2]):
            memory = look if memory is None else look + memory / 2
            maps.append(memory)
        return torch.stack(maps), {"memory": memory}

    def select(self, features: Tensor, indices: Tensor) -> Tensor:
        """Maps of some frames [n, 4 + classes, rows, columns]."""
        return features.flatten(0, 1).index_select(0, indices)

    def losses(self, features: Tensor, boxes: FrameBoxes) -> dict[str, Tensor]:
        """The cell of a box's centre is to have its class and its place; other cells no class."""
        known = boxes.rows[:, NEEDED[-1]] < self.num_classes  # the others are ignored boxes
        x, y, w, h, class_id = boxes.rows[known][:, NEEDED].to(features.device).unbind(1)
        frame = boxes.frame[known].to(features.device)
        column, row = ((x + w / 2) / self.stride).long(), ((y + h / 2) / self.stride).long()
        wanted = torch.zeros_like(features[:, 4:])
        wanted[frame, class_id.long(), row, column] = 1
        class_loss = F.binary_cross_entropy_with_logits(features[:, 4:], wanted)
        place = torch.stack((x + w / 2, y + h / 2, w, h), dim=1)
        found = self._places(features[:, :4])[frame, :, row, column]
        box_loss = (found - place).abs().sum() / max(len(frame), 1) / self.stride
        return {"loss": class_loss + box_loss, "class_loss": class_loss, "box_loss": box_loss}

    def _places(self, maps: Tensor) -> Tensor:
        """Centre, width and height in pixels [n, 4, rows, columns] of the first four channels."""
        rows, columns = (torch.arange(side, device=maps.device) + 0.5 for side in maps.shape[-2:])
        centre = torch.stack(torch.meshgrid(columns, rows, indexing="xy")) + maps[:, :2]
        return torch.cat((centre, maps[:, 2:].clamp(max=5).exp()), dim=1) * self.stride

    def predictions(self, features: Tensor) -> Tensor:
        """[n, cells, 4 + classes]: cx, cy, w, h in pixels, class probabilities."""
        return torch.cat((self._places(features[:, :4]), features[:, 4:].sigmoid()), dim=1).flatten(2).transpose(1, 2)

    def boxes(self, predictions: Tensor, confidence: float, nms: float) -> list[Tensor]:
        """Detections [n, 7] of each frame; objectness is 1."""
        place, classes = predictions.split((4, self.num_classes), dim=-1)
        rows = torch.cat((place, torch.ones_like(place[..., :1]), classes), dim=-1)
        return postprocess(rows, self.num_classes, confidence, nms)


def build(section: Mapping[str, Any]) -> GridDetector:
    """The network of a ``model`` section."""
    return GridDetector(**section["grid"])


SPEC = ModelSpec(family="grid", build=build)
