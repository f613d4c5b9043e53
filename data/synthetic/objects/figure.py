"""What a scene is made of: figures, each a stack of sprites with poses over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.synthetic.motion import Track
from data.synthetic.objects.sprites import Sprite

Floats = npt.NDArray[np.float64]

NO_LABEL = -1
"""Label of what belongs to the background."""


@dataclass(frozen=True)
class Part:
    """A sprite and its pose in its figure.

    Attributes:
        sprite: what is drawn.
        x: its pivot to the front of the figure, metres; a number or one for each time [T].
        y: its pivot above the ground, metres; a number or [T].
        angle: turn in radians that swings what hangs below the pivot to the front; a number or [T].
        shadow: True for what is drawn but does not count as silhouette.
    """

    sprite: Sprite
    x: float | Floats = 0.0
    y: float | Floats = 0.0
    angle: float | Floats = 0.0
    shadow: bool = False


@dataclass(frozen=True)
class Figure:
    """An object of the scene.

    Attributes:
        label: class id, or NO_LABEL.
        parts: drawn in this order.
        track: where it is at each render time.
        mirrored: True when its front points to the left of the picture.
    """

    label: int
    parts: Sequence[Part]
    track: Track
    mirrored: bool = False
