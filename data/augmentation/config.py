"""What augmentation may do to a lane: probabilities and ranges (flips, rotation, zoom: RVT, LEOD; the rest is ours)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from utils.errors import UserError


def _check(valid: bool, expected: str, got: object, where: str) -> None:
    if not valid:
        raise UserError(expected=expected, got=str(got), where=f"augmentation.{where}", fix="change the value")


def _check_probability(value: float, where: str) -> None:
    _check(0.0 <= value <= 1.0, "a probability in [0, 1]", value, where)


@dataclass(frozen=True)
class RotationConfig:
    """Rotation by a random sign times an angle in [min_deg, max_deg], about pixel (W//2, H//2)."""

    prob: float = 0.0
    min_deg: float = 2.0
    max_deg: float = 6.0

    def __post_init__(self) -> None:
        _check_probability(self.prob, "rotate.prob")
        _check(0.0 <= self.min_deg <= self.max_deg <= 180.0, "0 <= min_deg <= max_deg <= 180", self, "rotate")


@dataclass(frozen=True)
class ZoomConfig:
    """Zoom with probability ``prob``; in or out as the weights say; factors uniform in [1, max]."""

    prob: float = 0.0
    weight_in: float = 8.0
    weight_out: float = 2.0
    in_max: float = 1.5
    out_max: float = 1.2

    def __post_init__(self) -> None:
        _check_probability(self.prob, "zoom.prob")
        weights = (self.weight_in, self.weight_out)
        valid = min(weights) >= 0.0 and (sum(weights) > 0.0 or self.prob == 0.0)
        _check(valid, "weights >= 0 of which one is positive", weights, "zoom")
        _check(min(self.in_max, self.out_max) >= 1.0, "largest factors >= 1", (self.in_max, self.out_max), "zoom")


@dataclass(frozen=True)
class CropConfig:
    """Random crop: a window is cut out and put at a random place of an empty frame, at its own scale.

    Attributes:
        prob: probability.
        min_share: least height and width of the window, as a share of the frame's.
        min_visible: boxes of which a smaller share of the area is left are dropped.
    """

    prob: float = 0.0
    min_share: float = 0.5
    min_visible: float = 0.25

    def __post_init__(self) -> None:
        _check_probability(self.prob, "crop.prob")
        _check(0.0 < self.min_share <= 1.0, "a share in (0, 1]", self.min_share, "crop.min_share")
        _check(0.0 <= self.min_visible <= 1.0, "a share in [0, 1]", self.min_visible, "crop.min_visible")


@dataclass(frozen=True)
class IntensityConfig:
    """Intensity jitter: with probability ``prob`` an item or range gets a gain, a dropout and a noise level.

    Attributes:
        prob: probability.
        scale: counts are multiplied by a factor between 1 / (1 + scale) and 1 + scale.
        dropout: each event is dropped with a probability up to this.
        noise: noise events per pixel and frame, up to this.
    """

    prob: float = 0.0
    scale: float = 0.3
    dropout: float = 0.2
    noise: float = 0.01

    def __post_init__(self) -> None:
        _check_probability(self.prob, "intensity.prob")
        _check(0.0 <= self.scale <= 10.0, "a number in [0, 10]", self.scale, "intensity.scale")
        _check(0.0 <= self.dropout < 1.0, "a share in [0, 1)", self.dropout, "intensity.dropout")
        _check(0.0 <= self.noise <= 1.0, "events per pixel in [0, 1]", self.noise, "intensity.noise")


@dataclass(frozen=True)
class MixConfig:
    """Mixing: with probability ``prob`` another sequence is laid over an item or range, frames and labels."""

    prob: float = 0.0

    def __post_init__(self) -> None:
        _check_probability(self.prob, "mix.prob")


@dataclass(frozen=True)
class AugmentationConfig:
    """Augmentation of one kind of lane; the default changes nothing.

    Attributes:
        hflip: probability of a horizontal flip.
        tflip: probability of reversed time.
        rotate: rotation.
        zoom: zoom in or out.
        crop: random crop.
        intensity: intensity jitter.
        mix: two sequences laid over each other.
        max_count: intensity and mixing let no count grow beyond (None: only the data type limits it).
    """

    hflip: float = 0.0
    tflip: float = 0.0
    rotate: RotationConfig = field(default_factory=RotationConfig)
    zoom: ZoomConfig = field(default_factory=ZoomConfig)
    crop: CropConfig = field(default_factory=CropConfig)
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    max_count: int | None = None

    def __post_init__(self) -> None:
        _check_probability(self.hflip, "hflip")
        _check_probability(self.tflip, "tflip")
        valid = self.max_count is None or (isinstance(self.max_count, int) and 1 <= self.max_count <= 255)
        _check(valid, "null or a whole number from 1 to 255", self.max_count, "max_count")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> AugmentationConfig:
        """From nested plain mappings, as a YAML file holds them.

        Raises:
            UserError: a value out of its range.
        """
        parts = {
            "rotate": RotationConfig,
            "zoom": ZoomConfig,
            "crop": CropConfig,
            "intensity": IntensityConfig,
            "mix": MixConfig,
        }
        return cls(**{name: parts[name](**value) if name in parts else value for name, value in settings.items()})
