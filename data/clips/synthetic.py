"""Clips of the synthetic world: frames averaged over their exposure, and spikes of a sensor that integrates light."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.clips.files import SUFFIX, write_sequence
from data.preprocessing.pool import run_jobs
from data.synthetic.config import SPLITS, WorldConfig
from data.synthetic.dataset import claim
from data.synthetic.recording import draw_scene, recording_seed
from data.synthetic.render import draw_backdrop, draw_figures
from data.synthetic.scene import Scene, gather_cast, pose_all
from data.synthetic.textures import FloatImage
from utils.atomic import remove_temporaries
from utils.commands.run_lock import RunLock
from utils.errors import UserError
from utils.progress import track
from utils.settings import number, whole

log = logging.getLogger(__name__)

_MOST_SPIKES = 255


@dataclass(frozen=True, kw_only=True)
class FilmSettings:
    """How the world is filmed.

    Args:
        frame_ms: time from one frame to the next.
        exposure_ms: of each, from the frame's beginning on; the sharp frame is that of its middle.
        bins: parts of an exposure in which spikes are counted.
        spikes: of a white pixel in an exposure.

    Raises:
        UserError: a value that cannot be.
    """

    frame_ms: float
    exposure_ms: float
    bins: int
    spikes: float

    def __post_init__(self) -> None:
        number(self.frame_ms, "clips.frame_ms", 1)
        number(self.exposure_ms, "clips.exposure_ms", 1, self.frame_ms)
        whole(self.bins, "clips.bins")
        number(self.spikes, "clips.spikes", 1, _MOST_SPIKES)

    def renders(self, world: WorldConfig) -> tuple[int, int]:
        """Renders from frame to frame, and of an exposure.

        Raises:
            UserError: the world is not drawn often enough for so many parts.
        """
        step, exposed = (round(ms * world.render_rate_hz / 1000) for ms in (self.frame_ms, self.exposure_ms))
        if exposed < max(self.bins, 2):
            raise UserError(
                expected=f"{self.bins} pictures of the world, or more, in an exposure of {self.exposure_ms:g} ms",
                got=f"{exposed}",
                where="world.render_rate_hz",
                fix="draw more pictures a second, expose longer, or choose fewer clips.bins",
            )
        return step, exposed


@dataclass(frozen=True)
class _Order:
    """A sequence, and what decides every byte of it."""

    path: Path
    world: WorldConfig
    film: FilmSettings
    seed: int
    split: str
    index: int


def make_clips(folder: Path | str, world: WorldConfig, film: FilmSettings, seed: int, num_workers: int) -> int:
    """Write all sequences that are not there yet; equal arguments give equal bytes.

    Args:
        folder: of the data set, with train, val and test.
        world: what is filmed; ``render_rate_hz`` says how often it is drawn.
        film: how.
        seed: of scenes and of the sensor.
        num_workers: processes; 0 or 1 works in this one.

    Returns:
        how many were written.

    Raises:
        UserError: the folder holds clips of other settings, or another run writes into it.
    """
    folder = Path(folder)
    film.renders(world)
    with RunLock(folder, "clips.path", inside=SPLITS):
        wanted = {"format": "synthetic clips", "seed": seed, "world": world.to_dict(), **dataclasses.asdict(film)}
        claim(folder, wanted, "clips.path", f"*/*{SUFFIX}")
        orders = []
        for split in SPLITS:
            remove_temporaries(folder / split)
            for index in range(world.count(split)):
                path = folder / split / f"{split}_{index:04d}{SUFFIX}"
                orders += [] if path.is_file() else [_Order(path, world, film, seed, split, index)]
        done = run_jobs(_make, orders, num_workers, "num_workers", start="spawn")
        for _ in track(done, total=len(orders), desc="synthetic clips", unit="seq"):
            pass
    return len(orders)


def _make(order: _Order) -> None:
    scene = draw_scene(order.world, order.seed, order.split, order.index)
    sensor = np.random.default_rng(recording_seed(order.seed, order.split, order.index).spawn(2)[1])
    step, exposed = order.film.renders(order.world)
    pictures, spikes, times = expose(scene, step, exposed, order.film, sensor)
    write_sequence(order.path, pictures, spikes, times)


def expose(
    scene: Scene, step: int, exposed: int, film: FilmSettings, rng: np.random.Generator
) -> tuple[dict[str, npt.NDArray[np.uint8]], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Frames and spikes of a scene.

    Args:
        scene: what is filmed.
        step: renders from frame to frame.
        exposed: renders of an exposure.
        film: number of bins and spikes.
        rng: draws how full the sensor's pixels are at the beginning.

    Returns:
        ``blurred`` and ``sharp`` [N, H, W, 3]; spikes [N, K, H, W]; beginning and end of exposures in µs [N, 2].
    """
    starts = range(0, len(scene.times) - exposed + 1, step)
    charge = rng.random((scene.height, scene.width))
    gain = film.spikes / exposed
    blurred, sharp = [], []
    spikes = np.zeros((len(starts), film.bins, scene.height, scene.width), np.uint8)
    for frame, start in enumerate(starts):
        total = np.zeros_like(charge)
        for at, light in enumerate(luminances(scene, slice(start, start + exposed))):
            total += light
            charge += gain * light
            fired = np.floor(charge)
            charge -= fired
            spikes[frame, at * film.bins // exposed] += fired.astype(np.uint8)
            if at == exposed // 2:
                sharp.append(_picture(light))
        blurred.append(_picture(total / exposed))
    ends = [(scene.times[start], scene.times[start + exposed - 1]) for start in starts]
    times = np.round(np.array(ends) * 1e6).astype(np.int64).reshape(-1, 2)
    return {"blurred": np.stack(blurred), "sharp": np.stack(sharp)}, spikes, times


def luminances(scene: Scene, span: slice) -> Iterator[FloatImage]:
    """Luminance float32 [H, W] in [0, 1] at the renders of ``span``."""
    cast, poses, scenery = gather_cast(scene), pose_all(scene, span), scene.scenery
    atlas = cast.atlas
    for lens, parts, order in zip(poses.lens, poses.parts, poses.order, strict=True):
        frame = np.zeros((scene.height, scene.width), np.float32)
        draw_backdrop(frame, scenery.skyline, scenery.foot, scenery.ground, lens)
        draw_figures(frame, atlas.texels, atlas.tables, atlas.shapes, cast.sprite, cast.bounds, parts, order)
        yield np.clip(frame * np.float32(scene.light), 0, 1)


def _picture(light: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Luminance as it is looked at: its root, uint8 [H, W, 3]."""
    grey = np.round(255 * np.sqrt(light)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
