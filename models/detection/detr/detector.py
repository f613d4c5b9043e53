"""DETR on event frames: ResNet, perhaps a memory, transformer, a set of boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.detection.detr.backbone import Extractor, LearnedPosition, SinePosition
from models.detection.detr.config import DetrConfig
from models.detection.detr.frozen import fold_norms
from models.detection.detr.losses import set_losses, weighted
from models.detection.detr.transformer import Transformer
from models.detection.interface import Detector, FrameBoxes
from models.detection.sets.box_head import BoxHead
from models.detection.sets.boxes import corners, wanted_of
from models.detection.sets.detections import found
from models.layers.config import LstmConfig
from models.layers.gru import ConvGru
from models.layers.lstm import ConvLstm
from models.rnn_states import States


@dataclass(frozen=True)
class Seen:
    """Features of frames.

    Args:
        maps: [..., dim, h, w] of a backbone with memory; without one the frames themselves [..., C, H, W], which the
            backbone need only look at where they are selected.
        size_hw: of the frames in pixels.
    """

    maps: Tensor
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Outputs:
    """What is said of n frames.

    Args:
        logits: [layers, n, Q, classes + 1]; the last class is none.
        box: [layers, n, Q, 4], cx, cy, w, h as shares of the frame.
        source: the backbone's map [n, channels, h, w].
        position: of its cells [n, dim, h, w].
        memory: after the encoder [n, h·w, dim].
        queries: after each layer of the decoder [layers, n, Q, dim].
    """

    logits: Tensor
    box: Tensor
    source: Tensor
    position: Tensor
    memory: Tensor
    queries: Tensor


class DetrDetector(Detector):
    """DETR (Carion et al., 2020); names of weights are those of its published files."""

    family: ClassVar[str] = "detr"
    weighs_frames: ClassVar[bool] = True

    def __init__(self, cfg: DetrConfig) -> None:
        super().__init__()
        self.cfg, self.input_channels = cfg, cfg.backbone.input_channels
        dim = cfg.transformer.dim
        extractor = Extractor(cfg.backbone)
        position = SinePosition(dim // 2) if cfg.transformer.position == "sine" else LearnedPosition(dim // 2)
        self.transformer = Transformer(cfg.transformer)
        self.class_embed = nn.Linear(dim, cfg.num_classes + 1)
        self.bbox_embed = BoxHead(dim)
        self.query_embed = nn.Embedding(cfg.transformer.queries, dim)
        self.input_proj = nn.Conv2d(extractor.body.channels, dim, 1)
        self.backbone = nn.ModuleList((extractor, position))
        self.recurrence: ConvLstm | ConvGru | None = None
        if cfg.recurrence == "convlstm":
            self.recurrence = ConvLstm(dim, LstmConfig())
        elif cfg.recurrence == "convgru":
            self.recurrence = ConvGru(dim)

    def forward(self, images: Tensor, padding: Tensor | None = None) -> Outputs:
        """Images of one size, or padded to one.

        Args:
            images: [n, C, H, W].
            padding: bool [n, H, W], True at pixels that belong to no image; None for nowhere.
        """
        source = self.backbone[0](images)
        return self._look(self.input_proj(source), source, padding)

    def _look(self, maps: Tensor, source: Tensor, padding: Tensor | None = None) -> Outputs:
        frames, _, *size = maps.shape
        cells = torch.zeros((1, *size), dtype=torch.bool, device=maps.device)
        if padding is not None:
            cells = F.interpolate(padding[None].float(), size=size)[0].bool()
        position = self.backbone[1](cells).expand(frames, -1, -1, -1)
        flat = position.flatten(2).transpose(1, 2).to(maps.dtype)
        hidden = None if padding is None else cells.flatten(1)
        memory = self.transformer.encode(maps.flatten(2).transpose(1, 2), flat, hidden)
        queries = self.transformer.decode(self.query_embed.weight, memory, flat, hidden)
        box = self.bbox_embed(queries).float().sigmoid()
        return Outputs(self.class_embed(queries), box, source, position, memory, queries)

    def prepare(self, inputs: Tensor) -> Tensor:
        """Frames [L, B, C, H, W] in the type of the weights."""
        return inputs.to(self.input_proj.weight.dtype)

    def features(self, inputs: Tensor, states: States) -> tuple[Seen, States]:
        """Maps of all frames, after the memory of each cell; without a memory the frames, and no states."""
        size = (inputs.shape[-2], inputs.shape[-1])
        if self.recurrence is None:
            return Seen(inputs, size), None
        maps = self.input_proj(self.backbone[0](inputs.flatten(0, 1))).unflatten(0, inputs.shape[:2])
        tokens, states = self.recurrence(maps.permute(0, 1, 3, 4, 2), states)
        return Seen(tokens.permute(0, 1, 4, 2, 3), size), states

    def select(self, features: Seen, indices: Tensor) -> Seen:
        """Some of the frames, [n, ...]."""
        return Seen(features.maps.flatten(0, 1).index_select(0, indices), features.size_hw)

    def _outputs(self, features: Seen) -> Outputs:
        return self(features.maps) if self.recurrence is None else self._look(features.maps, features.maps)

    def losses(self, features: Seen, boxes: FrameBoxes) -> dict[str, Tensor]:
        """Losses of the last layer by name, see :func:`models.detection.detr.losses.set_losses`, and the sum of all."""
        wanted = wanted_of(boxes, self.cfg.num_classes, boxes.size_hw, features.maps.device)
        outputs = self._outputs(features)
        return weighted(set_losses(outputs.logits, outputs.box, wanted, self.cfg.loss), self.cfg.loss)

    def predictions(self, features: Seen) -> Tensor:
        """Predictions [n, Q, 4 + classes]: corners in pixels, class probabilities."""
        outputs = self._outputs(features)
        height, width = features.size_hw
        place = corners(outputs.box[-1]) * outputs.box.new_tensor((width, height) * 2)
        return torch.cat((place, outputs.logits[-1].float().softmax(-1)[..., :-1]), dim=-1)

    def boxes(self, predictions: Tensor, confidence: float, nms: float) -> list[Tensor]:
        """Detections [n, 7] of each frame, one class a query; nothing is suppressed."""
        return found(predictions, confidence)

    def freeze(self, dtype: torch.dtype) -> bool:
        """Fold norms into their convolutions; weights stay float32."""
        fold_norms(self.backbone[0])
        return dtype == torch.float32

    @property
    def parts(self) -> dict[str, nn.Module]:
        """Backbone, memory, encoder, decoder, heads."""
        memory = {} if self.recurrence is None else {"recurrence": self.recurrence}
        transformer = {"encoder": self.transformer.encoder, "decoder": self.transformer.decoder}
        heads = nn.ModuleList((self.class_embed, self.bbox_embed, self.query_embed))
        return {"backbone": self.backbone, "input_proj": self.input_proj, **memory, **transformer, "heads": heads}

    def watched_states(self, states: States) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Hidden and cell state of the memory, where it has both."""
        return ({"memory": states[0]}, {"memory": states[1]}) if isinstance(states, tuple) else ({}, {})
