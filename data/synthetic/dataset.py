"""A folder of synthetic recordings: written in parallel, each file whole, unfinished folders continued.

Layout: ``<raw_path>/{train,val,test}/<name>_td.dat`` and ``<name>_bbox.npy``, and ``<raw_path>/manifest.json`` with
the settings. A recording is finished when both of its files are there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.events.bbox import write_bbox_npy
from data.events.formats.dat import write_dat
from data.preprocessing.pool import run_jobs
from data.synthetic.config import SPLITS, WorldConfig
from data.synthetic.recording import simulate
from utils.atomic import remove_temporaries, write_json
from utils.commands.run_lock import RunLock
from utils.differences import differences
from utils.errors import UserError
from utils.json_files import read_json
from utils.progress import track

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"

WORLD_VERSION = 1
"""Counts up whenever the same settings give other recordings."""


@dataclass(frozen=True)
class Job:
    """One recording to make."""

    raw_path: Path
    split: str
    index: int

    @property
    def events_path(self) -> Path:
        """The event file."""
        return self.raw_path / self.split / f"{self.split}_{self.index:04d}_td.dat"

    @property
    def boxes_path(self) -> Path:
        """The box file, written last."""
        return self.raw_path / self.split / f"{self.split}_{self.index:04d}_bbox.npy"

    @property
    def finished(self) -> bool:
        """Both files are there."""
        return self.boxes_path.is_file() and self.events_path.is_file()


def all_jobs(raw_path: Path, config: WorldConfig) -> list[Job]:
    """Every recording of a data set, in order."""
    return [Job(raw_path, split, index) for split in SPLITS for index in range(config.count(split))]


def make_dataset(raw_path: Path | str, config: WorldConfig, seed: int, num_workers: int) -> int:
    """Write all recordings that are not there yet.

    Args:
        raw_path: folder of the data set.
        config: settings of the world.
        seed: with the settings fixes every byte.
        num_workers: processes; 0 or 1 works in this one.

    Returns:
        How many recordings were written.

    Raises:
        UserError: the folder holds recordings of other settings, an option is out of range, another run writes into
            the folder, or a process was killed.
    """
    raw_path = Path(raw_path)
    _check_options(seed, num_workers)
    with RunLock(raw_path, "raw_path", inside=SPLITS):
        wanted = {"format": "synthetic world", "version": WORLD_VERSION, "seed": seed, "world": config.to_dict()}
        claim(raw_path, wanted, "raw_path", "*/*_td.dat")
        for split in SPLITS:
            remove_temporaries(raw_path / split)  # of killed runs
        jobs = all_jobs(raw_path, config)
        orders = [_Order(job, config, seed) for job in jobs if not job.finished]
        if len(orders) < len(jobs):
            log.info("%d of %d recordings are finished already", len(jobs) - len(orders), len(jobs))
        done = run_jobs(_make, orders, num_workers, "num_workers", start="spawn")
        for _ in track(done, total=len(orders), desc="synthetic recordings", unit="rec"):
            pass
    return len(orders)


def _check_options(seed: int, num_workers: int) -> None:
    for name, value in (("seed", seed), ("num_workers", num_workers)):
        if value < 0:
            raise UserError(
                expected="a whole number from 0 on", got=str(value), where=name, fix=f"set {name} to 0 or more"
            )


@dataclass(frozen=True)
class _Order:
    """A recording, and what decides every byte of it."""

    job: Job
    config: WorldConfig
    seed: int


def _make(order: _Order) -> None:
    job, config = order.job, order.config
    recording = simulate(config, order.seed, job.split, job.index)
    write_dat(job.events_path, recording.events, config.height, config.width)
    write_bbox_npy(job.boxes_path, recording.labels.boxes)


def claim(folder: Path, wanted: Mapping[str, Any], key: str, recordings: str) -> None:
    """Write the manifest, or check that the folder was begun with the same settings.

    Args:
        folder: of a synthetic dataset.
        wanted: its settings.
        key: that names the folder, for messages.
        recordings: pattern of the files that there are none of in a new folder.

    Raises:
        UserError: it was begun with others, or holds recordings without a manifest.
    """
    path = folder / MANIFEST
    if path.is_file():
        changed = sorted(differences(_read_manifest(path), wanted))
        if changed:
            raise UserError(
                expected="the settings with which this folder was begun",
                got="; ".join(changed),
                where=str(path),
                fix=f"give the same settings to continue, or another {key}, or remove the folder",
            )
        return
    if any(folder.glob(recordings)):
        raise UserError(
            expected="an empty or new folder",
            got=f"recordings without a {MANIFEST}",
            where=str(folder),
            fix=f"give another {key}",
        )
    write_json(path, wanted)


def _read_manifest(path: Path) -> dict[str, Any]:
    return read_json(path, {}, expected="the settings of this folder", fix="remove the folder and make it again")
