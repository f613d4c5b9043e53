"""Settings of the synthetic world, as frozen dataclasses that check themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.json_files import read_json

CLASS_NAMES = ("car", "pedestrian")
"""Names of the class ids 0 and 1 that the world writes."""

SPLITS = ("train", "val", "test")
"""Folder names; their order gives the number that seeds the recordings of a split."""

STEP_US = 50_000
"""Label times are whole multiples of this step, so each can be the end of a 50 ms representation window."""

FIRST_LABEL_US = 100_000
"""Time of the first label of a recording."""

Range = tuple[float, float]


def _fail(where: str, expected: str, got: object) -> UserError:
    return UserError(expected=expected, got=repr(got), where=f"world.{where}", fix=f"change world.{where}")


def _check_range(where: str, value: Range, low: float, high: float) -> None:
    if len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise _fail(where, f"two ascending numbers between {low:g} and {high:g}", value)


def _check_between(where: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise _fail(where, f"a number between {low:g} and {high:g}", value)


@dataclass(frozen=True)
class CameraConfig:
    """Where the camera stands and how it moves; lengths in metres unless a share of the frame is meant."""

    focal: float = 0.9
    height_m: Range = (1.2, 1.9)
    horizon: Range = (0.34, 0.46)
    always_standing_share: float = 0.15
    stands_per_10s: Range = (2.0, 4.0)
    stand_s: Range = (0.8, 2.0)
    pan_speed: float = 0.07
    drift_speed: float = 0.4
    bob: float = 0.005
    bob_hz: float = 1.7

    def __post_init__(self) -> None:
        _check_between("camera.focal", self.focal, 0.2, 5)
        _check_range("camera.height_m", self.height_m, 0.3, 5)
        _check_range("camera.horizon", self.horizon, 0.1, 0.8)
        _check_between("camera.always_standing_share", self.always_standing_share, 0, 1)
        _check_range("camera.stands_per_10s", self.stands_per_10s, 0, 20)
        _check_range("camera.stand_s", self.stand_s, 0.1, 60)
        _check_between("camera.pan_speed", self.pan_speed, 0, 2)
        _check_between("camera.drift_speed", self.drift_speed, 0, 10)
        _check_between("camera.bob", self.bob, 0, 0.1)
        _check_between("camera.bob_hz", self.bob_hz, 0, 20)


@dataclass(frozen=True)
class TrafficConfig:
    """What lives in the scene: labelled objects, unlabelled movers, static clutter."""

    cars_per_s: Range = (0.3, 0.7)
    pedestrians_per_s: Range = (0.3, 0.7)
    distractors_per_s: Range = (0.0, 0.4)
    clutter: Range = (8, 16)
    foreground: Range = (0, 2)
    car_width: Range = (0.22, 0.6)
    pedestrian_height: Range = (0.3, 0.7)
    car_speed: Range = (1.5, 5.5)
    pedestrian_speed: Range = (0.7, 1.8)
    frontal_share: float = 0.3
    heading_deg: float = 20.0
    stop_share: float = 0.6
    stop_s: Range = (0.8, 2.5)
    texture_contrast: float = 0.45
    light: Range = (0.4, 1.0)

    def __post_init__(self) -> None:
        for name in ("cars_per_s", "pedestrians_per_s", "distractors_per_s"):
            _check_range(f"traffic.{name}", getattr(self, name), 0, 20)
        _check_range("traffic.clutter", self.clutter, 0, 200)
        _check_range("traffic.foreground", self.foreground, 0, 50)
        _check_range("traffic.car_width", self.car_width, 0.02, 2)
        _check_range("traffic.pedestrian_height", self.pedestrian_height, 0.02, 2)
        _check_range("traffic.car_speed", self.car_speed, 0.05, 50)
        _check_range("traffic.pedestrian_speed", self.pedestrian_speed, 0.05, 10)
        _check_between("traffic.frontal_share", self.frontal_share, 0, 1)
        _check_between("traffic.heading_deg", self.heading_deg, 0, 60)
        _check_between("traffic.stop_share", self.stop_share, 0, 1)
        _check_range("traffic.stop_s", self.stop_s, 0.1, 600)
        _check_between("traffic.texture_contrast", self.texture_contrast, 0, 3)
        _check_range("traffic.light", self.light, 0.02, 1)


@dataclass(frozen=True)
class SensorConfig:
    """The event sensor: contrast thresholds in natural-log units, noise, dead time (after ESIM and v2e)."""

    threshold: float = 0.18
    threshold_spread: float = 0.08
    noise_hz: float = 0.2
    hot_pixel_share: float = 0.0005
    hot_pixel_hz: float = 40.0
    refractory_us: int = 500

    def __post_init__(self) -> None:
        _check_between("sensor.threshold", self.threshold, 0.02, 2)
        _check_between("sensor.threshold_spread", self.threshold_spread, 0, 0.5)
        _check_between("sensor.noise_hz", self.noise_hz, 0, 1000)
        _check_between("sensor.hot_pixel_share", self.hot_pixel_share, 0, 0.5)
        _check_between("sensor.hot_pixel_hz", self.hot_pixel_hz, 0, 100_000)
        _check_between("sensor.refractory_us", self.refractory_us, 0, 1_000_000)


@dataclass(frozen=True)
class WorldConfig:
    """All settings of a synthetic data set; with a seed they fix every byte of it.

    Raises:
        UserError: a value is outside its range; the message names the key.
    """

    height: int = 128
    width: int = 160
    duration_s: float = 6.0
    num_train: int = 20
    num_val: int = 4
    num_test: int = 6
    label_rate_hz: float = 20.0
    min_visible_share: float = 0.3
    min_side_px: float = 5.0
    render_rate_hz: int = 200
    camera: CameraConfig = field(default_factory=CameraConfig)
    traffic: TrafficConfig = field(default_factory=TrafficConfig)
    sensor: SensorConfig = field(default_factory=SensorConfig)

    def __post_init__(self) -> None:
        _check_between("height", self.height, 16, 2048)
        _check_between("width", self.width, 16, 2048)
        _check_between("duration_s", self.duration_s, 0.1, 3600)
        for name in ("num_train", "num_val", "num_test"):
            _check_between(name, getattr(self, name), 0, 100_000)
        _check_between("min_visible_share", self.min_visible_share, 0, 1)
        _check_between("min_side_px", self.min_side_px, 0, 512)
        if self.render_rate_hz < 20 or 1_000_000 % self.render_rate_hz or STEP_US * self.render_rate_hz % 1_000_000:
            raise _fail(
                "render_rate_hz", "a multiple of 20 that divides 1000000 (20, 40, 100, 200, ...)", self.render_rate_hz
            )
        if self.label_rate_hz <= 0 or abs(20.0 / self.label_rate_hz - round(20.0 / self.label_rate_hz)) > 1e-6:
            raise _fail("label_rate_hz", "20 divided by a whole number (20, 10, 5, 4, 2, 1, ...)", self.label_rate_hz)

    @property
    def label_step_us(self) -> int:
        """Time between two labels in microseconds, a multiple of 50 ms."""
        return round(20.0 / self.label_rate_hz) * STEP_US

    @property
    def duration_us(self) -> int:
        """Length of a recording in microseconds, rounded to whole 50 ms steps."""
        return round(self.duration_s * 1e6 / STEP_US) * STEP_US

    def count(self, split: str) -> int:
        """Number of recordings of a split ("train", "val" or "test")."""
        return {"train": self.num_train, "val": self.num_val, "test": self.num_test}[split]

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dictionary, ready for JSON; the inverse of `world_config`."""
        return _listed(dataclasses.asdict(self))


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _build(cls: type, values: Mapping[str, Any], where: str) -> Any:
    known = {item.name: item for item in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise UserError(
            expected=f"keys out of {', '.join(known)}",
            got=", ".join(unknown),
            where=where,
            fix="remove or correct the unknown keys",
        )
    built: dict[str, Any] = {}
    for name, value in values.items():
        default = getattr(cls(), name)
        if dataclasses.is_dataclass(default):
            built[name] = _build(type(default), value, f"{where}.{name}")
        else:
            built[name] = _coerce(f"{where}.{name}".removeprefix("world."), value, default)
    return cls(**built)


def _coerce(where: str, value: Any, default: Any) -> Any:
    """Bring a YAML value to the type of the default, or raise UserError."""
    try:
        if isinstance(default, tuple):
            return tuple(float(item) for item in value)
        if isinstance(default, int) and float(value) != int(value):
            raise ValueError
        return type(default)(value)
    except (TypeError, ValueError):
        kind = "a list of two numbers" if isinstance(default, tuple) else f"a number such as {default}"
        raise _fail(where, kind, value) from None


def world_config(values: Mapping[str, Any]) -> WorldConfig:
    """Build a WorldConfig from a plain nested mapping (a YAML file); absent keys keep their default.

    Raises:
        UserError: unknown key, wrong type or value out of range.

    >>> world_config({"height": 64, "sensor": {"noise_hz": 0}}).sensor.noise_hz
    0.0
    """
    return _build(WorldConfig, values, "world")


def classes_of_recording(recording: Path) -> tuple[str, ...]:
    """Names by class id, if the recording lies in a split of a folder of this world; else none."""
    with suppress(UserError):
        path = recording.absolute().parent.parent / "manifest.json"
        manifest = read_json(path, {"format?": str}, expected="a manifest", fix="make it anew")
        return CLASS_NAMES if manifest.get("format") == "synthetic world" else ()
    return ()
