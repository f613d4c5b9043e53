"""Motion in time: go-and-stop clocks, the path of the camera, tracks of objects on the ground.

Everything that can stand still moves along a clock of its own. While the clock stands, positions are constant to
the last bit, so a standing scene makes no event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.synthetic.config import CameraConfig

Floats = npt.NDArray[np.float64]

RAMP_S = 0.3
"""Time to come to a stand and to get going, seconds."""

MOVING_BEFORE_STOP_S = 0.9
"""Nothing stops earlier in a recording than this, so that everything has been seen to move."""


def _smooth(x: Floats) -> Floats:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def pace(times: Floats, stops: Sequence[tuple[float, float]]) -> Floats:
    """Share of full speed at each time: 0 within a stop (start, end), 1 away from stops, smooth ramps between."""
    result = np.ones_like(times)
    for start, end in stops:
        arriving = 1.0 - _smooth((times - (start - RAMP_S)) / RAMP_S)
        leaving = _smooth((times - end) / RAMP_S)
        result = np.minimum(result, np.maximum(arriving, leaving))
    return result


def clock(times: Floats, speed: Floats) -> Floats:
    """Integral of ``speed`` over ``times`` (trapezoid), 0 at the first time."""
    steps = 0.5 * (speed[1:] + speed[:-1]) * np.diff(times)
    return np.concatenate([[0.0], np.cumsum(steps)])


@dataclass(frozen=True)
class CameraPath:
    """The camera at each render time [T].

    Attributes:
        pan: shift of the picture in pixels by turning left and right.
        tilt: shift of the picture in pixels, downwards, by bobbing.
        x: place to the right in metres.
        z: place forward in metres.
        moving: False where the camera stands.
    """

    pan: Floats
    tilt: Floats
    x: Floats
    z: Floats
    moving: npt.NDArray[np.bool_]


def _wander(rng: np.random.Generator, tau: Floats, speed: float) -> Floats:
    """Sum of three slow waves of random phase whose root-mean-square speed is about ``speed``."""
    result = np.zeros_like(tau)
    for _ in range(3):
        omega = 2 * np.pi * rng.uniform(0.06, 0.45)
        result += speed * np.sqrt(2 / 3) / omega * np.sin(omega * tau + rng.uniform(0, 2 * np.pi))
    return result


def camera_path(rng: np.random.Generator, config: CameraConfig, times: Floats, height: int, width: int) -> CameraPath:
    """Draw a camera path: wandering pan and drift, bobbing, and stands; some recordings stand throughout."""
    duration = float(times[-1] - times[0])
    standing = rng.random() < config.always_standing_share
    stops = draw_stops(rng, config.stands_per_10s, config.stand_s, duration)
    speed = pace(times, stops)
    tau = clock(times, speed)
    bob_phase = 2 * np.pi * config.bob_hz * rng.uniform(0.8, 1.25)
    bob_size = config.bob * height * rng.uniform(0.3, 1.5)
    pan = _wander(rng, tau, config.pan_speed * width * rng.uniform(0.3, 1.5))
    x = _wander(rng, tau, config.drift_speed * rng.uniform(0.3, 1.5))
    z = _wander(rng, tau, 0.4 * config.drift_speed * rng.uniform(0.3, 1.5))
    tilt = bob_size * (np.sin(bob_phase * tau) + 0.4 * np.sin(0.37 * bob_phase * tau + 1.0))
    if standing:
        pan, x, z, tilt, speed = (np.full_like(times, values[0]) for values in (pan, x, z, tilt, np.zeros_like(times)))
    return CameraPath(pan, tilt, x, z - z.max(), speed > 0)


def draw_stops(
    rng: np.random.Generator, per_10s: tuple[float, float], length_s: tuple[float, float], duration: float
) -> list[tuple[float, float]]:
    """Draw stops, spread over a recording; none begins before things have been seen to move."""
    count = round(rng.uniform(*per_10s) * duration / 10)
    stops = []
    for index in range(count):
        start = (index + rng.random()) / count * duration
        start = max(start, MOVING_BEFORE_STOP_S)
        stops.append((start, start + rng.uniform(*length_s)))
    return stops


@dataclass(frozen=True)
class Track:
    """An object on the ground at each render time [T].

    Attributes:
        x: place to the right in metres.
        z: place forward in metres.
        walked: way travelled since the first time in metres.
        pace: share of full speed.
    """

    x: Floats
    z: Floats
    walked: Floats
    pace: Floats

    @property
    def moving(self) -> npt.NDArray[np.bool_]:
        """False where the object stands: neither arrived from, nor leaves for, another place."""
        step = np.hypot(np.diff(self.x), np.diff(self.z)) > 0
        return np.concatenate([step[:1], step])


@dataclass(frozen=True)
class Course:
    """Where an object passes and how: through (x, z) at time ``at_s`` with velocity (vx, vz) in m/s."""

    at_s: float
    x: float
    z: float
    vx: float
    vz: float
    z_range: tuple[float, float]
    stops: tuple[tuple[float, float], ...] = ()


def follow(course: Course, times: Floats) -> Track:
    """Follow a course; the distance is held inside ``z_range``, where the object stops approaching or receding."""
    speed = pace(times, course.stops)
    tau = clock(times, speed)
    tau = (
        tau - np.interp(course.at_s, times, tau) - min(course.at_s - times[0], 0.0) - max(course.at_s - times[-1], 0.0)
    )
    x = course.x + course.vx * tau
    z = np.clip(course.z + course.vz * tau, *course.z_range)
    way = np.hypot(np.diff(x), np.diff(z))
    return Track(x, z, np.concatenate([[0.0], np.cumsum(way)]), speed)
