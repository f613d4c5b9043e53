"""Train a detector: ``python train.py --help``."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace

from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from models.registry import memory_knobs
from modules.checkpoints.files import LAST
from modules.checkpoints.resume_points import points_of
from modules.checkpoints.start import DONE, is_done, write_done
from modules.data.checks import check_data
from modules.data.genx import DataModule
from modules.detection import Module
from modules.training.batch_size import fits_memory, settle
from modules.training.settings import RunSettings, run_settings
from modules.training.start import begin
from modules.training.trainer import build_trainer, resolve_accelerator, set_seed_and_threads
from modules.utils.fetch import fetch_data_module, fetch_model_module
from utils.atomic import write_text
from utils.commands.cli import hydra_entry
from utils.commands.processes import process_rank
from utils.commands.run_lock import RunLock
from utils.settings import plain
from utils.thresholds import check_thresholds

log = logging.getLogger(__name__)

WRITTEN = ("logs/version_0/metrics.csv", "pictures")
"""What a run writes to in its folder, beside files that appear whole."""

register_resolvers()


def build_parts(run: RunSettings) -> tuple[DataModule, Module]:
    """Data and a detector with fresh weights, the same at every start.

    Raises:
        UserError: data that cannot be used, or settings that cannot be, those of labelling with this detector too.
    """
    set_seed_and_threads(run)
    data_module = fetch_data_module(run.config)
    module = fetch_model_module(run.config)
    for split in ("train", "val"):
        check_data(data_module, split, run.config["dataset"]["classes"])
    check_thresholds(run.config)
    return data_module, module


def train(run: RunSettings, data_module: DataModule, module: Module) -> None:
    """Train in a folder that no other run uses."""
    folder = run.folder.dir
    start = begin(run, module)
    if start.finished:
        return
    if process_rank() == 0:
        write_text(folder / "config.yaml", OmegaConf.to_yaml(run.config))
    trainer = build_trainer(run, training=True)
    trainer.fit(module, datamodule=data_module, ckpt_path=start.checkpoint)
    figures = points_of(trainer).figures
    write_done(run.folder, run.training.limits, trainer.global_step, figures)
    log.info("trained %d steps: %s  %s", trainer.global_step, folder / LAST, figures)


@hydra_entry("train", lambda cfg: memory_knobs(plain(cfg)["model"]))
def main(cfg: DictConfig) -> None:
    """Train until ``training.max_steps``; the same command again goes on from the newest checkpoint."""
    run = run_settings(plain(cfg))
    run = replace(run, hardware=resolve_accelerator(run.hardware))
    folder = run.folder.dir
    if is_done(folder, run.training.limits):
        log.info("%s says that this run is done; nothing to do", folder / DONE)
        return
    parts = build_parts(run)
    with RunLock(folder, inside=WRITTEN) if process_rank() == 0 else nullcontext():
        finished = False
        while not finished:
            settled = settle(run)
            if settled is not run:
                run, parts = settled, build_parts(settled)
                cfg.batch_size.train = run.training.batch_size  # for the message if memory runs out
            finished = fits_memory(folder, run.training, lambda: train(run, *parts))  # noqa: B023 - called at once


if __name__ == "__main__":
    main()
