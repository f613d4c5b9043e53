"""The car family: sedans, hatchbacks, estates, vans, pick-ups and buses, from the side and from front or rear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.synthetic.objects.figure import Floats, Part
from data.synthetic.objects.sprites import Canvas, Sprite
from data.synthetic.textures import random_luminance, random_texture

REFERENCE_LENGTH_M = 4.4
"""Length of the car that ``traffic.car_width`` speaks of."""

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class CarShape:
    """Proportions in metres.

    Attributes:
        length, height, width: outer size.
        belt: height of the lower edge of the windows.
        hood, trunk: length of what lies before and behind the cabin at belt height.
        rake: how far the windscreen leans back over its height.
        wheel: radius.
    """

    length: float
    height: float
    width: float
    belt: float
    hood: float
    trunk: float
    rake: float
    wheel: float


def random_shape(rng: np.random.Generator) -> CarShape:
    """Draw proportions from one of six kinds."""
    # length, height, belt share, hood share, trunk share, rake
    kinds = (
        (4.5, 1.45, 0.62, 0.27, 0.18, 0.60),  # sedan
        (3.8, 1.50, 0.60, 0.22, 0.02, 0.45),  # hatchback
        (4.7, 1.60, 0.58, 0.24, 0.03, 0.50),  # estate, SUV
        (4.8, 2.05, 0.55, 0.12, 0.01, 0.40),  # van
        (5.0, 1.75, 0.55, 0.22, 0.42, 0.35),  # pick-up
        (5.6, 2.50, 0.45, 0.03, 0.01, 0.15),  # minibus
    )
    weights = np.array([0.3, 0.22, 0.2, 0.12, 0.1, 0.06])
    length, height, belt, hood, trunk, rake = kinds[int(rng.choice(len(kinds), p=weights))]
    length *= rng.uniform(0.9, 1.08)
    height *= rng.uniform(0.94, 1.06)
    return CarShape(
        length=length,
        height=height,
        width=rng.uniform(1.65, 1.95) * (1.1 if height > 2.2 else 1.0),
        belt=height * belt * rng.uniform(0.94, 1.06),
        hood=length * hood * rng.uniform(0.85, 1.15),
        trunk=length * trunk * rng.uniform(0.7, 1.3),
        rake=rake * rng.uniform(0.7, 1.3),
        wheel=rng.uniform(0.29, 0.37),
    )


def side_view(rng: np.random.Generator, contrast: float, texels_per_m: float, walked: Floats) -> list[Part]:
    """Parts of a car that drives to the right: shadow, body, two turning wheels."""
    shape = random_shape(rng)
    axle = shape.length * rng.uniform(0.27, 0.32)
    wheel = _wheel(rng, shape.wheel, texels_per_m)
    turn = walked / shape.wheel
    return [
        Part(_shadow(shape.length, texels_per_m), y=0.02, shadow=True),
        Part(_side_body(rng, shape, axle, contrast, texels_per_m)),
        Part(wheel, x=-axle, y=shape.wheel, angle=-turn),
        Part(wheel, x=axle, y=shape.wheel, angle=-turn),
    ]


def end_view(rng: np.random.Generator, contrast: float, texels_per_m: float, rear: bool) -> list[Part]:
    """Parts of a car seen from the front or from the rear."""
    shape = random_shape(rng)
    return [
        Part(_shadow(shape.width, texels_per_m), y=0.02, shadow=True),
        Part(_end_body(rng, shape, contrast, texels_per_m, rear)),
    ]


def _shadow(length: float, texels_per_m: float) -> Sprite:
    canvas = Canvas(-0.55 * length, -0.2, 0.55 * length, 0.3, texels_per_m)
    canvas.ellipse(0, 0.03, 0.52 * length, 0.16, 0.03, alpha=0.45)
    return canvas.finish()


def _wheel(rng: np.random.Generator, radius: float, texels_per_m: float) -> Sprite:
    canvas = Canvas(-radius, -radius, radius, radius, texels_per_m)
    canvas.ellipse(0, 0, radius, radius, 0.03)
    rim = random_luminance(rng, 0.25, 0.95)
    inner = radius * rng.uniform(0.6, 0.75)
    canvas.ellipse(0, 0, inner, inner, rim * rng.uniform(0.15, 0.6))
    spokes = int(rng.integers(3, 7))
    for index in range(spokes):
        angle = 2 * np.pi * index / spokes
        canvas.capsule(0, 0, inner * np.cos(angle), inner * np.sin(angle), 0.16 * radius, rim)
    canvas.ellipse(0, 0, 0.2 * radius, 0.2 * radius, rim)
    return canvas.finish()


def _cabin(shape: CarShape, inset: float = 0.0) -> Points:
    """Outline of the cabin above the belt, from rear to front; ``inset`` shrinks it for the windows."""
    half = shape.length / 2
    rear, front = -half + shape.trunk, half - shape.hood
    back_rake = 0.45 * shape.rake if shape.trunk > 0.3 else 0.2 * shape.rake
    return [
        (rear + 1.6 * inset, shape.belt),
        (rear + back_rake + inset, shape.height - inset),
        (front - shape.rake - 0.6 * inset, shape.height - inset),
        (front - 1.8 * inset, shape.belt),
    ]


def _side_body(rng: np.random.Generator, shape: CarShape, axle: float, contrast: float, texels_per_m: float) -> Sprite:
    half = shape.length / 2
    canvas = Canvas(-half, 0, half, shape.height, texels_per_m)
    base = random_luminance(rng, 0.06, 0.95)
    paint = random_texture(rng, *canvas.shape, canvas.texels_per_m, contrast * rng.uniform(0.2, 1.1), base)
    floor = 0.75 * shape.wheel
    nose = rng.uniform(0.03, 0.18)
    body: Points = [
        (-half, floor),
        (-half + 0.02, shape.belt - 0.05),
        (-half + 0.12, shape.belt),
        (half - shape.hood, shape.belt + 0.02),
        (half - 0.12, shape.belt - nose),
        (half, shape.belt - nose - 0.15),
        (half, floor),
    ]
    canvas.polygon(body, paint)
    canvas.polygon(_cabin(shape), paint)
    _windows(rng, canvas, shape)
    _trim(rng, canvas, shape, floor, base)
    for place in (-axle, axle):
        canvas.ellipse(place, shape.wheel, 1.2 * shape.wheel, 1.2 * shape.wheel, 0.025, inside=True)
    return canvas.finish()


def _windows(rng: np.random.Generator, canvas: Canvas, shape: CarShape) -> None:
    glass = random_luminance(rng, 0.03, 0.12) if rng.random() < 0.75 else random_luminance(rng, 0.4, 0.9)
    outline = _cabin(shape, inset=rng.uniform(0.07, 0.12))
    left, right = outline[0][0], outline[3][0]
    if shape.height > 1.9 and rng.random() < 0.5:  # a delivery van: glass only in front
        left = right - rng.uniform(0.9, 1.4)
        outline[0], outline[1] = (left, outline[0][1]), (left, outline[1][1])
    canvas.polygon(outline, glass, inside=True)
    slant = rng.uniform(0.1, 0.3)
    start = rng.uniform(left, right - 0.4)
    shine: Points = [(start, shape.belt), (start + slant, shape.height), (start + slant + 0.25, shape.height)]
    if rng.random() < 0.6:
        keep = _hold_inside(outline, [*shine, (start + 0.25, shape.belt)])
        canvas.polygon(keep, min(1.0, 3.0 * glass), inside=True)
    pillars = int(rng.integers(1, 4))
    for index in range(1, pillars + 1):
        x = left + (right - left) * index / (pillars + 1) + rng.uniform(-0.1, 0.1)
        canvas.rectangle(x - 0.04, shape.belt, x + 0.04, shape.height, 0.05 if glass > 0.3 else 0.3, inside=True)


def _hold_inside(outline: Points, streak: Points) -> Points:
    """Hold the points of a light streak inside the height range of a window outline."""
    low, high = outline[0][1], outline[1][1]
    return [(x, min(max(y, low), high)) for x, y in streak]


def _trim(rng: np.random.Generator, canvas: Canvas, shape: CarShape, floor: float, base: float) -> None:
    """Doors, bumpers, lights, and now and then a stripe or a sign on the side."""
    half = shape.length / 2
    line = base * 0.4 if base > 0.2 else min(1.0, base * 2.5)
    for x in np.linspace(-half + shape.trunk + 0.5, half - shape.hood - 0.1, int(rng.integers(2, 4))):
        canvas.rectangle(x - 0.02, floor + 0.08, x + 0.02, shape.belt, line, inside=True)
    canvas.rectangle(-half, floor, half, floor + rng.uniform(0.06, 0.16), line, inside=True)
    canvas.ellipse(half - 0.08, shape.belt - 0.25, 0.14, 0.08, rng.uniform(0.7, 1.0), inside=True)
    canvas.rectangle(-half, shape.belt - 0.3, -half + 0.1, shape.belt - 0.1, rng.uniform(0.2, 0.9), inside=True)
    if rng.random() < 0.35:
        y = rng.uniform(floor + 0.15, shape.belt - 0.15)
        stripe = random_luminance(rng)
        canvas.rectangle(-half, y, half, y + rng.uniform(0.06, 0.18), stripe, inside=True)
    if rng.random() < 0.25:
        x = rng.uniform(-0.3, 0.3) * half
        sign = random_luminance(rng)
        canvas.rectangle(x - 0.5, floor + 0.2, x + 0.5, shape.belt - 0.05, sign, inside=True)


def _end_body(rng: np.random.Generator, shape: CarShape, contrast: float, texels_per_m: float, rear: bool) -> Sprite:
    half = shape.width / 2
    canvas = Canvas(-half, 0, half, shape.height, texels_per_m)
    base = random_luminance(rng, 0.06, 0.95)
    paint = random_texture(rng, *canvas.shape, canvas.texels_per_m, contrast * rng.uniform(0.2, 0.9), base)
    floor = 0.7 * shape.wheel
    for side in (-1, 1):
        inner, outer = side * (half - 0.28), side * (half - 0.04)
        canvas.rectangle(min(inner, outer), 0.0, max(inner, outer), shape.wheel * 1.5, 0.03)
    top, belt = half * rng.uniform(0.66, 0.9), shape.belt
    canvas.polygon(_mirrored([(half, floor), (half, belt - 0.06), (half - 0.08, belt)]), paint)
    canvas.polygon(_mirrored([(half - 0.06, belt), (top, shape.height)]), paint)
    glass = random_luminance(rng, 0.03, 0.15)
    canvas.polygon(_mirrored([(half - 0.16, belt + 0.03), (top - 0.08, shape.height - 0.1)]), glass, inside=True)
    x, low, high = rng.uniform(-0.5, 0.2) * half, belt + 0.03, shape.height - 0.12
    streak = [(x, low), (x + 0.2, high), (x + 0.45, high), (x + 0.25, low)]
    canvas.polygon(streak, min(1.0, 3.0 * glass), inside=True)
    _end_trim(rng, canvas, shape, floor, base, rear)
    return canvas.finish()


def _mirrored(right: Points) -> Points:
    """A symmetric outline from its right half, given upwards."""
    return [*right, *[(-x, y) for x, y in reversed(right)]]


def _end_trim(rng: np.random.Generator, canvas: Canvas, shape: CarShape, floor: float, base: float, rear: bool) -> None:
    """Lights, plate, grille and bumper of a car seen from front or rear."""
    half = shape.width / 2
    lamp_y = floor + (shape.belt - floor) * rng.uniform(0.55, 0.75)
    lamp = rng.uniform(0.15, 0.4) if rear else rng.uniform(0.75, 1.0)
    for side in (-1, 1):
        canvas.ellipse(side * (half - 0.24), lamp_y, 0.19, rng.uniform(0.08, 0.14), lamp, inside=True)
    line = base * 0.4 if base > 0.2 else min(1.0, base * 2.5)
    if not rear:
        canvas.rectangle(-0.4 * half, lamp_y - 0.12, 0.4 * half, lamp_y + 0.1, 0.06, inside=True)
    canvas.rectangle(-half, floor, half, floor + rng.uniform(0.08, 0.2), line, inside=True)
    canvas.rectangle(-0.26, floor + 0.08, 0.26, floor + 0.22, rng.uniform(0.6, 1.0), inside=True)
