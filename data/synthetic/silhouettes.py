"""Boxes from the geometry of a scene: the tight box of what is visible of each labelled figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from data.events.bbox import RAW_BBOX_DTYPE
from data.synthetic.config import FIRST_LABEL_US, WorldConfig
from data.synthetic.objects.figure import NO_LABEL
from data.synthetic.render import cover
from data.synthetic.scene import Cast, Poses, Scene, pose_all
from data.synthetic.textures import FloatImage

_FINE = 2
"""Silhouettes are drawn at this many times the sensor's resolution."""

_MARGIN = 0.75
"""Share of the frame that is looked at on each side, to know the whole area of what leaves the frame."""


@dataclass(frozen=True)
class Labels:
    """Boxes of a recording and what only the scene knows about them.

    Attributes:
        boxes: structured ``RAW_BBOX_DTYPE`` [N], by time, then figure; ``track_id`` is the figure's number.
        moving: bool [N], the object moves by itself.
        camera_moving: bool [N], the camera moves.
        visible: float64 [N], share of the silhouette that is inside the frame and not covered.
    """

    boxes: npt.NDArray[np.void]
    moving: npt.NDArray[np.bool_]
    camera_moving: npt.NDArray[np.bool_]
    visible: npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def _paint_owners(
    owners: npt.NDArray[np.int32],
    areas: npt.NDArray[np.int64],
    texels: FloatImage,
    tables: npt.NDArray[np.int64],
    shapes: npt.NDArray[np.float64],
    sprite: npt.NDArray[np.int64],
    owner: npt.NDArray[np.int64],
    shadow: npt.NDArray[np.bool_],
    bounds: npt.NDArray[np.int64],
    poses: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
) -> None:
    """Write into ``owners`` who is seen at each pixel (-1: nobody), into ``areas`` the pixels of each figure alone."""
    for figure in order:
        for part in range(bounds[figure], bounds[figure + 1]):
            if not shadow[part]:
                number = sprite[part]
                cover(owners, areas, owner[part], texels, tables[number], shapes[number], poses[part])


@njit(cache=True, nogil=True)
def _visible_boxes(
    owners: npt.NDArray[np.int32], top: int, left: int, height: int, width: int, extents: npt.NDArray[np.int64]
) -> None:
    """Fill ``extents`` [F, 5] with count, first and last column, first and last row inside the given frame."""
    for v in range(top, top + height):
        for u in range(left, left + width):
            figure = owners[v, u]
            if figure >= 0:
                row = extents[figure]
                if row[0] == 0:
                    row[1], row[2], row[3], row[4] = u, u, v, v
                row[0] += 1
                row[1], row[2] = min(row[1], u), max(row[2], u)
                row[4] = v


def silhouettes(scene: Scene, cast: Cast, poses: Poses) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Visible boxes and shares at one render time.

    Args:
        scene: the scene.
        cast: its parts.
        poses: poses at one time (n = 1).

    Returns:
        boxes float64 [F, 4] as x, y, w, h in pixels, zero where nothing is seen; visible shares float64 [F].
    """
    top, left = round(_MARGIN * scene.height) * _FINE, round(_MARGIN * scene.width) * _FINE
    height, width = scene.height * _FINE, scene.width * _FINE
    parts = poses.parts[0].copy()
    parts[:, 0] = parts[:, 0] * _FINE + left
    parts[:, 1] = parts[:, 1] * _FINE + top
    parts[:, 4] /= _FINE
    owners = np.full((height + 2 * top, width + 2 * left), -1, np.int32)
    areas = np.zeros(len(scene.figures), np.int64)
    atlas = cast.atlas
    _paint_owners(
        owners, areas, atlas.texels, atlas.tables, atlas.shapes, cast.sprite, cast.owner, cast.shadow, cast.bounds,
        parts, poses.order[0],
    )  # fmt: skip
    extents = np.zeros((len(scene.figures), 5), np.int64)
    _visible_boxes(owners, top, left, height, width, extents)
    seen = extents[:, 0] > 0
    boxes = np.zeros((len(scene.figures), 4))
    boxes[seen, 0] = (extents[seen, 1] - left) / _FINE
    boxes[seen, 1] = (extents[seen, 3] - top) / _FINE
    boxes[seen, 2] = (extents[seen, 2] - extents[seen, 1] + 1) / _FINE
    boxes[seen, 3] = (extents[seen, 4] - extents[seen, 3] + 1) / _FINE
    return boxes, extents[:, 0] / np.maximum(areas, 1)


def label_indices(config: WorldConfig) -> npt.NDArray[np.int64]:
    """Numbers of the renders at which a recording is labelled."""
    times = np.arange(FIRST_LABEL_US, config.duration_us + 1, config.label_step_us, dtype=np.int64)
    return times * config.render_rate_hz // 1_000_000


def label(scene: Scene, cast: Cast, config: WorldConfig) -> Labels:
    """Label a recording: every figure that shows enough of itself, at every label time."""
    rows: list[tuple[int, float, float, float, float, int, int, float]] = []
    facts: list[tuple[bool, bool, float]] = []
    moving = [figure.track.moving for figure in scene.figures]
    for index in label_indices(config).tolist():
        boxes, shares = silhouettes(scene, cast, pose_all(scene, slice(index, index + 1)))
        time_us = index * 1_000_000 // config.render_rate_hz
        for number, figure in enumerate(scene.figures):
            x, y, w, h = boxes[number].tolist()
            too_small = min(w, h) < max(config.min_side_px, 1.0 / _FINE)
            if figure.label == NO_LABEL or too_small or shares[number] < config.min_visible_share:
                continue
            rows.append((time_us, x, y, w, h, figure.label, number, 1.0))
            facts.append((bool(moving[number][index]), bool(scene.camera.moving[index]), float(shares[number])))
    columns = list(zip(*facts, strict=True)) or [(), (), ()]
    return Labels(
        boxes=np.array(rows, RAW_BBOX_DTYPE),
        moving=np.array(columns[0], bool),
        camera_moving=np.array(columns[1], bool),
        visible=np.array(columns[2], np.float64),
    )
