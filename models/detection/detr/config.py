"""Checked settings of DETR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.checks import require, require_positive, require_share
from models.detection.recurrent_backbone.timm_config import RECURRENCES
from utils.settings import choice, number, settings_of, whole

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
_WITHOUT_DILATION = RESNETS[:2]
LAYERS = ("conv1", "layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True, kw_only=True)
class ResnetConfig:
    """``model.backbone`` of the config, where each key is explained.

    Raises:
        UserError: a value that cannot be.
    """

    resnet: str = "resnet50"
    input_channels: int = 20
    norm: str = "batch"
    frozen: tuple[str, ...] = ()
    dilation: bool = False
    stages: int = 4

    def __post_init__(self) -> None:
        choice(self.resnet, RESNETS, "model.backbone.resnet")
        whole(self.input_channels, "model.backbone.input_channels")
        choice(self.norm, ("batch", "frozen"), "model.backbone.norm")
        object.__setattr__(self, "frozen", tuple(self.frozen))
        for name in self.frozen:
            choice(name, LAYERS, "model.backbone.frozen")
        stages = isinstance(self.stages, int) and 2 <= self.stages <= 4
        require(stages, "model.backbone.stages", "2, 3 or 4", self.stages, "4 as published; fewer for small frames")
        possible = not self.dilation or self.resnet not in _WITHOUT_DILATION
        where, deep = "model.backbone.dilation", "true with resnet50 and resnet101 alone"
        require(possible, where, deep, self.resnet, "choose model.backbone.resnet=resnet50, or dilation=false")


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """``model.transformer`` of the config, where each key is explained.

    Raises:
        UserError: a value that cannot be.
    """

    dim: int = 256
    heads: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 6
    feedforward: int = 2048
    dropout: float = 0.1
    pre_norm: bool = False
    position: str = "sine"
    queries: int = 100

    def __post_init__(self) -> None:
        for name in ("dim", "heads", "decoder_layers", "feedforward", "queries"):
            whole(getattr(self, name), f"model.transformer.{name}")
        whole(self.encoder_layers, "model.transformer.encoder_layers", 0)
        require_share(self.dropout, "model.transformer.dropout")
        choice(self.position, ("sine", "learned"), "model.transformer.position")
        fits = self.dim % self.heads == 0 and self.dim % 4 == 0
        expected = f"a multiple of 4 and of {self.heads} heads"
        require(fits, "model.transformer.dim", expected, self.dim, "give a number such as 256")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """``model.loss`` of the config, where each key is explained; the weights of classes and boxes match, too.

    Raises:
        UserError: a value that cannot be.
    """

    class_weight: float = 1.0
    l1_weight: float = 5.0
    giou_weight: float = 2.0
    no_object: float = 0.1
    auxiliary: bool = True

    def __post_init__(self) -> None:
        for name in ("class_weight", "l1_weight", "giou_weight"):
            number(getattr(self, name), f"model.loss.{name}")
        require_positive(self.no_object, "model.loss.no_object")

    @property
    def weights(self) -> tuple[float, float, float]:
        """Of class, L1 distance and generalised overlap."""
        return self.class_weight, self.l1_weight, self.giou_weight


@dataclass(frozen=True, kw_only=True)
class DetrConfig:
    """The whole detector.

    Args:
        num_classes: without the one for no object.
        recurrence: what links the frames between backbone and encoder: ``none``, ``convlstm`` or ``convgru``.
        backbone: a ResNet.
        transformer: encoder and decoder.
        loss: of the sets.
    """

    num_classes: int
    recurrence: str = "none"
    backbone: ResnetConfig = field(default_factory=ResnetConfig)
    transformer: TransformerConfig = field(default_factory=TransformerConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        whole(self.num_classes, "model.num_classes")
        choice(self.recurrence, RECURRENCES, "model.recurrence")

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> DetrConfig:
        """From the ``model`` section; keys of other families beside these do nothing."""
        parts = {"backbone": ResnetConfig, "transformer": TransformerConfig, "loss": LossConfig}
        model = {"model": section}
        return cls(
            num_classes=section["num_classes"],
            recurrence=section["recurrence"],
            **{name: settings_of(kind, model, f"model.{name}") for name, kind in parts.items()},
        )
