"""One synthetic recording: a scene, filmed and labelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.events.types import Events
from data.synthetic.config import SPLITS, WorldConfig
from data.synthetic.population import random_scene
from data.synthetic.scene import Scene, gather_cast
from data.synthetic.sensor import record
from data.synthetic.silhouettes import Labels, label


@dataclass(frozen=True)
class SyntheticRecording:
    """Events and labels of a scene.

    Attributes:
        height: rows of the sensor.
        width: columns.
        events: all events, ordered by time; the first at t > 0.
        labels: boxes and what is known about them.
    """

    height: int
    width: int
    events: Events
    labels: Labels


def recording_seed(seed: int, split: str, index: int) -> np.random.SeedSequence:
    """Seed of one recording; it depends on nothing but these three."""
    return np.random.SeedSequence([seed, SPLITS.index(split), index])


def draw_scene(config: WorldConfig, seed: int, split: str, index: int) -> Scene:
    """The scene of recording ``index`` of a split."""
    return random_scene(np.random.default_rng(recording_seed(seed, split, index).spawn(2)[0]), config)


def simulate(config: WorldConfig, seed: int, split: str, index: int) -> SyntheticRecording:
    """Make recording ``index`` of a split; equal arguments give equal bytes."""
    scene = draw_scene(config, seed, split, index)
    sensor = np.random.default_rng(recording_seed(seed, split, index).spawn(2)[1])
    return film(scene, config, sensor)


def film(scene: Scene, config: WorldConfig, rng: np.random.Generator) -> SyntheticRecording:
    """Film and label a given scene; ``rng`` draws the faults and the noise of the sensor."""
    cast = gather_cast(scene)
    events = record(scene, cast, config.sensor, rng)
    return SyntheticRecording(scene.height, scene.width, events, label(scene, cast, config))
