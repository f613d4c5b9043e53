"""Train a detector: ``python train.py --help``."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from config.resolvers import register_resolvers
from modules.checkpoints.names import DONE
from modules.data.found import check_at_once
from utils.commands.cli import hydra_entry
from utils.commands.processes import process_rank
from utils.commands.run_lock import RunLock
from utils.settings import plain
from utils.thresholds import check_thresholds

if TYPE_CHECKING:  # torch and Lightning are loaded when they are needed: mistakes are told before
    from modules.data.position import PlannedDataModule
    from modules.training.settings import RunSettings
    from modules.weights.module import NetworkModule

log = logging.getLogger(__name__)

WRITTEN = ("logs/version_0/metrics.csv", "pictures")
"""What a run writes to in its folder, beside files that appear whole."""

register_resolvers()


def build_parts(run: RunSettings) -> tuple[PlannedDataModule, NetworkModule]:
    """Data and a network with fresh weights, the same at every start.

    Raises:
        UserError: data that cannot be used, or settings that cannot be, those of labelling with this detector too.
    """
    from modules.tasks import task_of
    from modules.training.trainer import set_seed_and_threads
    from modules.utils.fetch import fetch_data_module, fetch_model_module

    set_seed_and_threads(run)
    data_module = fetch_data_module(run.config)
    module = fetch_model_module(run.config)
    for split in ("train", "val"):
        task_of(run.config).check(data_module, split, run.config)
    check_thresholds(run.config)
    return data_module, module


def train(run: RunSettings, data_module: PlannedDataModule, module: NetworkModule) -> None:
    """Train in a folder that no other run uses."""
    from modules.training.start import begin, finish
    from modules.training.trainer import build_trainer

    start = begin(run, module)
    if not start.finished:
        trainer = build_trainer(run, training=True)
        trainer.fit(module, datamodule=data_module, ckpt_path=start.checkpoint)
        finish(run, trainer)


@hydra_entry("train", lambda cfg: import_module("models.registry").memory_knobs(plain(cfg)["model"]))
def main(cfg: DictConfig) -> None:
    """Train until ``training.max_steps``; the same command again goes on from the newest checkpoint."""
    config, began = plain(cfg), time.monotonic()
    if not (Path(config["output"]["dir"]) / DONE).is_file():  # a finished run needs none of these
        check_at_once(config, config["output"]["dir"], "output.dir")
    from modules.labelling.finished import check_labels
    from modules.reports.write import leave_report
    from modules.tasks import task_of
    from modules.training.batch_size import fits_memory, settle
    from modules.training.settings import run_settings
    from modules.training.start import was_done
    from modules.training.trainer import resolve_accelerator

    run = run_settings(config)
    run = replace(run, hardware=resolve_accelerator(run.hardware))
    folder = run.folder.dir
    if was_done(run):
        return
    check_labels(config)
    parts = build_parts(run)
    with RunLock(folder, inside=WRITTEN) if process_rank() == 0 else nullcontext():
        finished = False
        while not finished:
            settled = settle(run)
            if settled is not run:
                run, parts = settled, build_parts(settled)
                cfg.batch_size.train = run.training.batch_size  # for the message if memory runs out
            finished = fits_memory(folder, run.training, lambda: train(run, *parts))  # noqa: B023 - called at once
        leave_report(folder, "train", run.config, time.monotonic() - began, matter=task_of(run.config).matter)


if __name__ == "__main__":
    main()
