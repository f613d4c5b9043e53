"""The pedestrian family: articulated walkers with random clothes, seen from the side or from front and rear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.synthetic.objects.figure import Floats, Part
from data.synthetic.objects.sprites import Canvas, Sprite
from data.synthetic.textures import random_luminance, random_texture

REFERENCE_HEIGHT_M = 1.72
"""Height of the pedestrian that ``traffic.pedestrian_height`` speaks of."""


@dataclass(frozen=True)
class Gait:
    """How limbs swing at each time [T].

    Attributes:
        phase: position in the walking cycle, radians.
        reach: 0 while standing to 1 at full stride.
        lift: how far the body rises within a step, metres.
    """

    phase: Floats
    reach: Floats
    lift: Floats


def gait(rng: np.random.Generator, height: float, walked: Floats, pace: Floats) -> Gait:
    """Walking cycle from the way walked; limbs come to rest with the walker."""
    phase = 2 * np.pi * walked / (rng.uniform(0.75, 0.95) * height) + rng.uniform(0, 2 * np.pi)
    reach = np.minimum(1.0, pace * 1.3)
    return Gait(phase, reach, 0.012 * height * reach * (1 + np.cos(2 * phase)))


@dataclass(frozen=True)
class Clothes:
    """Sprites of the body parts; pivots are where a part hangs from."""

    torso: Sprite
    head: Sprite
    thigh: Sprite
    shin: Sprite
    arm: Sprite
    far_thigh: Sprite
    far_shin: Sprite
    far_arm: Sprite


def pedestrian(
    rng: np.random.Generator, contrast: float, texels_per_m: float, walked: Floats, pace: Floats, frontal: bool
) -> list[Part]:
    """Parts of a walker who faces right (or the camera, when ``frontal``).

    Args:
        rng: source of all randomness.
        contrast: half the span of the texture on clothes, natural-log units.
        texels_per_m: resolution.
        walked: way travelled at each time [T], metres.
        pace: share of full speed at each time [T].
        frontal: seen from front or rear: limbs hang side by side and swing less.
    """
    height = float(np.clip(rng.normal(REFERENCE_HEIGHT_M, 0.1), 1.45, 1.95))
    build = rng.uniform(0.85, 1.3)
    clothes = _dress(rng, height, build, contrast, texels_per_m, frontal)
    steps = gait(rng, height, walked, pace)
    swing = rng.uniform(0.38, 0.5) * (0.3 if frontal else 1.0)
    spread = 0.05 * height * build if frontal else 0.0
    hip, shoulder = 0.51 * height, 0.80 * height
    far = _limbs(clothes.far_thigh, clothes.far_shin, clothes.far_arm, steps, np.pi, swing, -spread, hip, shoulder)
    near = _limbs(clothes.thigh, clothes.shin, clothes.arm, steps, 0.0, swing, spread, hip, shoulder)
    body = [Part(clothes.torso, y=hip + steps.lift), Part(clothes.head, x=0.01 * height, y=0.85 * height + steps.lift)]
    return [Part(_shadow(height, texels_per_m), y=0.01, shadow=True), *far, *body, *near]


def _limbs(
    thigh: Sprite,
    shin: Sprite,
    arm: Sprite,
    steps: Gait,
    offset: float,
    swing: float,
    spread: float,
    hip: float,
    shoulder: float,
) -> list[Part]:
    """One leg in two pieces and the arm of the same side, which swings against it."""
    leg = swing * steps.reach * np.sin(steps.phase + offset)
    bend = steps.reach * swing * 1.1 * np.clip(np.cos(steps.phase + offset), 0, 1)
    length = hip / 2
    hip_y = hip + steps.lift - 0.02 * hip * steps.reach
    knee_x, knee_y = spread + length * np.sin(leg), hip_y - length * np.cos(leg)
    return [
        Part(arm, x=2.6 * spread, y=shoulder + steps.lift, angle=-0.9 * leg),
        Part(shin, x=knee_x, y=knee_y, angle=leg - bend),
        Part(thigh, x=spread, y=hip_y, angle=leg),
    ]


def _dress(
    rng: np.random.Generator, height: float, build: float, contrast: float, texels_per_m: float, frontal: bool
) -> Clothes:
    top, trousers, skin = random_luminance(rng, 0.05, 0.95), random_luminance(rng), random_luminance(rng, 0.2, 0.7)
    sleeve = top if rng.random() < 0.7 else skin
    shoe = random_luminance(rng)
    leg, width = 0.255 * height, 0.045 * height * build

    def limb(length: float, radius: float, luminance: float, foot: float | None = None) -> Sprite:
        return _limb(rng, length, radius, luminance, contrast, texels_per_m, foot, frontal)

    shade = 0.6
    return Clothes(
        torso=_torso(rng, height, build, top, contrast, texels_per_m, frontal),
        head=_head(rng, height, skin, texels_per_m),
        thigh=limb(leg, width, trousers),
        shin=limb(leg, 0.8 * width, trousers, shoe),
        arm=limb(0.33 * height, 0.6 * width, sleeve),
        far_thigh=limb(leg, width, shade * trousers),
        far_shin=limb(leg, 0.8 * width, shade * trousers, shoe),
        far_arm=limb(0.33 * height, 0.6 * width, shade * sleeve),
    )


def _limb(
    rng: np.random.Generator,
    length: float,
    radius: float,
    luminance: float,
    contrast: float,
    texels_per_m: float,
    foot: float | None,
    frontal: bool,
) -> Sprite:
    """A capsule that hangs from its pivot, with a foot when a luminance is given for it."""
    toe = (1.2 if frontal else 3.2) * radius
    canvas = Canvas(-1.3 * radius, -length - 0.01, 1.3 * radius + toe, 1.1 * radius, texels_per_m)
    paint = random_texture(rng, *canvas.shape, canvas.texels_per_m, 0.5 * contrast, luminance)
    canvas.capsule(0, 0, 0, -length + radius, radius, paint)
    if foot is not None:
        canvas.capsule(0, -length + 0.7 * radius, toe, -length + 0.6 * radius, 0.6 * radius, foot)
    return canvas.finish()


def _torso(
    rng: np.random.Generator,
    height: float,
    build: float,
    top: float,
    contrast: float,
    texels_per_m: float,
    frontal: bool,
) -> Sprite:
    """Torso with its pivot at the hip; coats reach below it, bags hang behind."""
    half = (0.12 if frontal else 0.085) * height * build
    rise = 0.33 * height
    skirt = rng.uniform(0.1, 0.28) * height if rng.random() < 0.3 else 0.03 * height
    canvas = Canvas(-2.3 * half, -skirt, 1.6 * half, rise + 0.02, texels_per_m)
    paint = random_texture(rng, *canvas.shape, canvas.texels_per_m, contrast * rng.uniform(0.4, 1.4), top)
    if not frontal and rng.random() < 0.3:
        canvas.ellipse(-1.2 * half, 0.6 * rise, 0.9 * half, 0.32 * rise, random_luminance(rng))
    flare = half * (1.25 if skirt > 0.1 * height else 0.95)
    right = [(flare, -skirt), (0.9 * half, 0.3 * rise), (half, 0.85 * rise), (0.6 * half, rise)]
    canvas.polygon([*right, *[(-x, y) for x, y in reversed(right)]], paint)
    if rng.random() < 0.4:
        belt = rng.uniform(0.0, 0.15) * rise
        canvas.rectangle(-half, belt, half, belt + 0.05, random_luminance(rng), inside=True)
    return canvas.finish()


def _head(rng: np.random.Generator, height: float, skin: float, texels_per_m: float) -> Sprite:
    """Head with neck, hair or hat; its pivot is the neck."""
    radius = 0.068 * height
    canvas = Canvas(-1.7 * radius, -0.6 * radius, 1.7 * radius, 2.45 * radius, texels_per_m)
    canvas.rectangle(-0.45 * radius, -0.5 * radius, 0.45 * radius, radius, 0.7 * skin)
    canvas.ellipse(0, 1.1 * radius, 0.85 * radius, 1.1 * radius, skin)
    hair = random_luminance(rng, 0.03, 0.6)
    canvas.ellipse(-0.3 * radius, 1.5 * radius, 0.8 * radius, 0.75 * radius, hair)
    if rng.random() < 0.25:
        canvas.rectangle(-1.5 * radius, 1.6 * radius, 1.6 * radius, 1.85 * radius, hair)
    return canvas.finish()


def _shadow(height: float, texels_per_m: float) -> Sprite:
    canvas = Canvas(-0.25 * height, -0.1, 0.25 * height, 0.1, texels_per_m)
    canvas.ellipse(0, 0, 0.2 * height, 0.07, 0.03, alpha=0.4)
    return canvas.finish()
