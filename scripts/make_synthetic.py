"""Make a synthetic event-camera data set: raw recordings with boxes, ready for scripts/preprocess_dataset.py."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from omegaconf import DictConfig

from data.clips.synthetic import FilmSettings, make_clips
from data.events.formats.dat import read_dat
from data.synthetic.config import SPLITS, WorldConfig, world_config
from data.synthetic.dataset import Job, make_dataset
from data.synthetic.preview import preview
from data.synthetic.statistics import measure_folder
from utils.commands.cli import hydra_entry
from utils.pictures.video import save_png
from utils.settings import plain, whole

log = logging.getLogger(__name__)


@hydra_entry("make_synthetic")
def main(cfg: DictConfig) -> None:
    """Write the recordings that are missing, then say what the folder holds."""
    world = world_config(plain(cfg.world))
    if cfg.clips.path is not None:
        write_clips(cfg, world)
        return
    raw_path = Path(str(cfg.raw_path))
    written = make_dataset(raw_path, world, whole(cfg.seed, "seed", 0), whole(cfg.num_workers, "num_workers", 0))
    log.info("wrote %d recordings to %s", written, raw_path)
    figures = measure_folder(raw_path)
    for line in figures.lines() if figures else []:
        log.info("%s", line)
    if cfg.preview:
        save_preview(raw_path, world, Path(str(cfg.preview)))


def write_clips(cfg: DictConfig, world: WorldConfig) -> None:
    """Write the clips that are missing."""
    settings = plain(cfg.clips)
    folder = Path(str(settings.pop("path")))
    seed, workers = whole(cfg.seed, "seed", 0), whole(cfg.num_workers, "num_workers", 0)
    log.info("wrote %d sequences to %s", make_clips(folder, world, FilmSettings(**settings), seed, workers), folder)


def save_preview(raw_path: Path, world: WorldConfig, path: Path) -> None:
    """Save a contact sheet (PNG) of the first recording: events of 50 ms with boxes, at twelve times."""
    job = next((Job(raw_path, split, 0) for split in SPLITS if world.count(split)), None)
    if job is None:
        return
    step = world.label_step_us
    labelled = range(100_000, world.duration_us + 1, step)
    times = [labelled[round(place)] for place in np.linspace(0, len(labelled) - 1, min(12, len(labelled)))]
    boxes = np.load(job.boxes_path, allow_pickle=False)
    sheet = preview(read_dat(job.events_path), boxes, world.height, world.width, times)
    save_png(path, sheet)
    log.info("preview: %s", path)


if __name__ == "__main__":
    main()
