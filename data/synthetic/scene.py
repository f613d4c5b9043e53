"""A scene: camera path, backdrops and figures, and the table of sprite poses at each render time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.synthetic.config import WorldConfig
from data.synthetic.motion import CameraPath
from data.synthetic.objects.figure import NO_LABEL, Figure, Floats
from data.synthetic.objects.sprites import Atlas, Sprite, build_atlas
from data.synthetic.scenery import Scenery

POSE_COLUMNS = 6
"""Numbers of a pose: pivot column and row in pixels, cosine and sine of the turn, texels a pixel, mirror sign."""

_NEAREST_M = 0.6
_HIDDEN = 0.0


@dataclass(frozen=True)
class Scene:
    """Everything that is drawn, at render times [T].

    Attributes:
        height: rows of the frame.
        width: columns.
        focal_px: focal length in pixels.
        camera_height_m: height of the camera above the ground.
        horizon_px: row of the horizon while the camera does not bob.
        light: factor on all luminances.
        times: float64 [T], seconds.
        camera: path of the camera.
        scenery: backdrops.
        figures: objects, the labelled ones and the others.
    """

    height: int
    width: int
    focal_px: float
    camera_height_m: float
    horizon_px: float
    light: float
    times: Floats
    camera: CameraPath
    scenery: Scenery
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Cast:
    """The parts of all figures, numbered for the compiled renderer.

    Attributes:
        atlas: all sprites.
        sprite: int64 [P], sprite of each part.
        owner: int64 [P], figure of the part, -1 where that has no label.
        shadow: bool [P], drawn, but no silhouette.
        bounds: int64 [F + 1], parts of figure i are bounds[i]:bounds[i+1].
    """

    atlas: Atlas
    sprite: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    shadow: npt.NDArray[np.bool_]
    bounds: npt.NDArray[np.int64]


def gather_cast(scene: Scene) -> Cast:
    """Number the parts of a scene and pack their sprites."""
    sprites: list[Sprite] = []
    numbers: dict[int, int] = {}
    sprite_of: list[int] = []
    owner_of: list[int] = []
    shadow: list[bool] = []
    bounds = [0]
    for number, figure in enumerate(scene.figures):
        for part in figure.parts:
            if id(part.sprite) not in numbers:
                numbers[id(part.sprite)] = len(sprites)
                sprites.append(part.sprite)
            sprite_of.append(numbers[id(part.sprite)])
            owner_of.append(-1 if figure.label == NO_LABEL else number)
            shadow.append(part.shadow)
        bounds.append(len(sprite_of))
    return Cast(
        atlas=build_atlas(sprites),
        sprite=np.array(sprite_of, np.int64),
        owner=np.array(owner_of, np.int64),
        shadow=np.array(shadow, bool),
        bounds=np.array(bounds, np.int64),
    )


@dataclass(frozen=True)
class Poses:
    """Where everything is at some render times [n].

    Attributes:
        lens: float64 [n, 6], focal length in pixels, camera height, pan, row of the horizon, camera x, camera z.
        parts: float64 [n, P, POSE_COLUMNS]; texels a pixel is 0 for what is not drawn.
        order: int64 [n, F], figures from far to near.
    """

    lens: Floats
    parts: Floats
    order: npt.NDArray[np.int64]


def pose_all(scene: Scene, span: slice) -> Poses:
    """Project all figures at the render times of ``span``."""
    camera = scene.camera
    length = len(scene.times[span])
    lens = np.empty((length, 6))
    lens[:, 0], lens[:, 1] = scene.focal_px, scene.camera_height_m
    lens[:, 2], lens[:, 3] = camera.pan[span], scene.horizon_px + camera.tilt[span]
    lens[:, 4], lens[:, 5] = camera.x[span], camera.z[span]
    depth = np.array([figure.track.z[span] for figure in scene.figures]).reshape(-1, length).T
    order = np.argsort(-depth, axis=1, kind="stable").astype(np.int64)
    parts = [pose_figure(scene, figure, span) for figure in scene.figures]
    empty = np.zeros((length, 0, POSE_COLUMNS))
    return Poses(lens, np.concatenate([empty, *parts], axis=1), np.ascontiguousarray(order))


def pose_figure(scene: Scene, figure: Figure, span: slice) -> Floats:
    """Poses [n, parts, POSE_COLUMNS] of one figure at the render times of ``span``."""
    camera, track = scene.camera, figure.track
    distance = track.z[span] - camera.z[span]
    scale = scene.focal_px / np.maximum(distance, _NEAREST_M)
    column = scene.width / 2 + camera.pan[span] + scale * (track.x[span] - camera.x[span])
    row = scene.horizon_px + camera.tilt[span] + scale * scene.camera_height_m
    sign = -1.0 if figure.mirrored else 1.0
    poses = np.empty((len(scale), len(figure.parts), POSE_COLUMNS))
    for index, part in enumerate(figure.parts):
        x, y, angle = (
            value[span] if isinstance(value, np.ndarray) else value for value in (part.x, part.y, part.angle)
        )
        poses[:, index, 0] = column + scale * sign * x
        poses[:, index, 1] = row - scale * y
        # What hangs below its pivot swings to the front by turning against the clock.
        poses[:, index, 2] = np.cos(angle)
        poses[:, index, 3] = -np.sin(angle)
        poses[:, index, 4] = np.where(distance > _NEAREST_M, part.sprite.texels_per_m / scale, _HIDDEN)
        poses[:, index, 5] = sign
    return poses


def render_times(config: WorldConfig) -> Floats:
    """Times of all renders of a recording in seconds, the first at 0."""
    count = config.duration_us * config.render_rate_hz // 1_000_000
    return np.arange(count + 1) / config.render_rate_hz
