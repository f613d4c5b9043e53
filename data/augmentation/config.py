"""What augmentation may do to a lane: probabilities and ranges (RVT, LEOD)."""

from __future__ import annotations

from dataclasses import dataclass, field

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
class AugmentationConfig:
    """Augmentation of one kind of lane; the default changes nothing."""

    hflip: float = 0.0
    tflip: float = 0.0
    rotate: RotationConfig = field(default_factory=RotationConfig)
    zoom: ZoomConfig = field(default_factory=ZoomConfig)

    def __post_init__(self) -> None:
        _check_probability(self.hflip, "hflip")
        _check_probability(self.tflip, "tflip")
