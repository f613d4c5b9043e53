"""Draws scenes: which objects there are, where they pass, when they stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.synthetic.config import Range, WorldConfig
from data.synthetic.motion import MOVING_BEFORE_STOP_S, CameraPath, Course, Track, camera_path, follow
from data.synthetic.objects.cars import REFERENCE_LENGTH_M, end_view, side_view
from data.synthetic.objects.clutter import foreground_thing, moving_thing, standing_thing
from data.synthetic.objects.figure import NO_LABEL, Figure, Floats, Part
from data.synthetic.objects.pedestrians import REFERENCE_HEIGHT_M, pedestrian
from data.synthetic.scene import Scene, render_times
from data.synthetic.scenery import random_scenery

CAR, PEDESTRIAN = 0, 1
_LEAD_S = 0.6
_OVERSAMPLING = 1.3


def random_scene(rng: np.random.Generator, config: WorldConfig) -> Scene:
    """Draw a scene; equal generators give equal scenes."""
    times = render_times(config)
    traffic = config.traffic
    camera = camera_path(rng, config.camera, times, config.height, config.width)
    horizon = rng.uniform(*config.camera.horizon)
    scenery = random_scenery(rng, config.height, config.width, horizon, traffic.texture_contrast)
    builder = _Builder(rng, config, times, camera)
    figures: list[Figure] = []
    for moment in builder.moments(traffic.cars_per_s):
        figures.append(builder.car(moment))
    for moment in builder.moments(traffic.pedestrians_per_s):
        figures.append(builder.walker(moment))
    for moment in builder.moments(traffic.distractors_per_s):
        figures.append(builder.distractor(moment))
    figures.extend(builder.standing())
    return Scene(
        height=config.height,
        width=config.width,
        focal_px=config.camera.focal * config.width,
        camera_height_m=rng.uniform(*config.camera.height_m),
        horizon_px=horizon * config.height,
        light=rng.uniform(*traffic.light),
        times=times,
        camera=camera,
        scenery=scenery,
        figures=figures,
    )


@dataclass(frozen=True)
class _Builder:
    """Builds the figures of one scene from one generator."""

    rng: np.random.Generator
    config: WorldConfig
    times: Floats
    camera: CameraPath

    @property
    def focal_px(self) -> float:
        return self.config.camera.focal * self.config.width

    def moments(self, per_s: Range) -> list[float]:
        """Times at which objects of a kind are in view, spread over the recording and a little beyond."""
        span = float(self.times[-1]) + 2 * _LEAD_S
        count = int(np.floor(self.rng.uniform(*per_s) * self.times[-1] + self.rng.random()))
        return [(index + self.rng.random()) / count * span - _LEAD_S for index in range(count)]

    def distance(self, size_px: Range, reference_m: float) -> float:
        """A distance at which ``reference_m`` metres measure a size drawn, uniform in log, from ``size_px``."""
        low, high = np.log(size_px[0]), np.log(size_px[1])
        return self.focal_px * reference_m / float(np.exp(self.rng.uniform(low, high)))

    def in_view(self, moment: float, distance: float) -> float:
        """A place to the right, metres, that the camera sees at a time and distance."""
        share = self.rng.uniform(-0.42, 0.42)
        pan = np.interp(moment, self.times, self.camera.pan)
        return float(
            np.interp(moment, self.times, self.camera.x) + (share * self.config.width - pan) * distance / self.focal_px
        )

    def texels(self, nearest: float) -> float:
        """Resolution of sprites that come as near as ``nearest`` metres."""
        return float(np.clip(_OVERSAMPLING * self.focal_px / nearest, 8, 160))

    def stops(self, moment: float) -> tuple[tuple[float, float], ...]:
        """A stop near the time at which an object is in view, or none."""
        traffic = self.config.traffic
        if self.rng.random() >= traffic.stop_share:
            return ()
        start = max(moment + self.rng.uniform(-0.7, 0.5), MOVING_BEFORE_STOP_S)
        return ((start, start + self.rng.uniform(*traffic.stop_s)),)

    def course(self, moment: float, size_px: Range, reference_m: float, speed: Range, towards: bool) -> Course:
        """A way across the picture, or towards and away from the camera."""
        near, far = (self.focal_px * reference_m / size for size in (size_px[1], size_px[0]))
        z = self.distance(size_px, reference_m)
        pace = self.rng.uniform(*speed)
        heading = np.deg2rad(self.rng.uniform(-1, 1) * self.config.traffic.heading_deg)
        direction = self.rng.choice([-1.0, 1.0])
        vx, vz = direction * pace * np.cos(heading), pace * np.sin(heading)
        if towards:
            vx, vz = 0.3 * vz, 0.8 * vx
        return Course(moment, self.in_view(moment, z), z, vx, vz, (near, 1.15 * far), self.stops(moment))

    def car(self, moment: float) -> Figure:
        """A car, from the side or from front or rear."""
        traffic = self.config.traffic
        size = _scaled(traffic.car_width, self.config.width)
        towards = self.rng.random() < traffic.frontal_share
        course = self.course(moment, size, REFERENCE_LENGTH_M, traffic.car_speed, towards)
        track, texels = follow(course, self.times), self.texels(course.z_range[0])
        if towards:
            parts = end_view(self.rng, traffic.texture_contrast, texels, rear=course.vz > 0)
        else:
            parts = side_view(self.rng, traffic.texture_contrast, texels, track.walked)
        return Figure(CAR, parts, track, mirrored=course.vx < 0 and not towards)

    def walker(self, moment: float) -> Figure:
        """A pedestrian, from the side or from front or rear."""
        traffic = self.config.traffic
        size = _scaled(traffic.pedestrian_height, self.config.height)
        towards = self.rng.random() < traffic.frontal_share
        course = self.course(moment, size, REFERENCE_HEIGHT_M, traffic.pedestrian_speed, towards)
        track, texels = follow(course, self.times), self.texels(course.z_range[0])
        parts = pedestrian(self.rng, traffic.texture_contrast, texels, track.walked, track.pace, towards)
        return Figure(PEDESTRIAN, parts, track, mirrored=course.vx < 0)

    def distractor(self, moment: float) -> Figure:
        """Something that moves and is no object of interest."""
        traffic = self.config.traffic
        size = _scaled(traffic.pedestrian_height, self.config.height)
        course = self.course(moment, size, REFERENCE_HEIGHT_M, (0.8, 4.0), towards=False)
        track = follow(course, self.times)
        parts = moving_thing(self.rng, traffic.texture_contrast, self.texels(course.z_range[0]), track.walked)
        return Figure(NO_LABEL, parts, track, mirrored=course.vx < 0)

    def standing(self) -> list[Figure]:
        """Static clutter over all that the camera sees, and a few narrow things close by."""
        traffic, rng = self.config.traffic, self.rng
        spread = 1.0 + float(np.ptp(self.camera.pan)) / self.config.width
        far = [(standing_thing, rng.uniform(9.0, 35.0)) for _ in range(round(rng.uniform(*traffic.clutter) * spread))]
        near = [
            (foreground_thing, rng.uniform(3.2, 8.0)) for _ in range(round(rng.uniform(*traffic.foreground) * spread))
        ]
        return [self._stand(build, distance) for build, distance in far + near]

    def _stand(self, build: Callable[[np.random.Generator, float, float], list[Part]], distance: float) -> Figure:
        moment = self.rng.uniform(0, self.times[-1])
        x = self.in_view(moment, distance) + self.rng.uniform(-0.3, 0.3) * distance
        still = np.zeros_like(self.times)
        parts = build(self.rng, self.config.traffic.texture_contrast, self.texels(distance - 1.0))
        return Figure(NO_LABEL, parts, Track(still + x, still + distance, still, still))


def _scaled(share: Range, length: int) -> Range:
    return share[0] * length, share[1] * length
