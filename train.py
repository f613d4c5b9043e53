"""Train a detector: ``python train.py --help``."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from models.registry import memory_knobs
from modules.checkpoints.files import LAST
from modules.checkpoints.resume_points import KEY, is_finished, points_of
from modules.checkpoints.start import DONE, check_schedule, is_done, resume_point, write_done
from modules.data.checks import check_data
from modules.data.genx import DataModule
from modules.detection import Module
from modules.training.averaging import check_averaging
from modules.training.batch_size import fits_memory, settle
from modules.training.checks import check_training
from modules.training.trainer import build_trainer, resolve_accelerator, set_seed_and_threads
from modules.utils.fetch import fetch_data_module, fetch_model_module
from utils.atomic import write_text
from utils.commands.cli import hydra_entry
from utils.commands.processes import process_rank
from utils.commands.run_lock import RunLock
from utils.settings import plain
from utils.thresholds import check_thresholds

log = logging.getLogger(__name__)
register_resolvers()


def build_parts(cfg: DictConfig) -> tuple[DataModule, Module]:
    """Data and a detector with fresh weights, the same at every start.

    Raises:
        UserError: data that cannot be used, or settings that cannot be, those of labelling with this detector too.
    """
    set_seed_and_threads(cfg)
    data_module = fetch_data_module(cfg)
    module = fetch_model_module(cfg)
    for split in ("train", "val"):
        check_data(data_module, split, list(cfg.dataset.classes))
    check_thresholds(plain(cfg))
    return data_module, module


@hydra_entry("train", lambda cfg: memory_knobs(plain(cfg)["model"]))
def main(cfg: DictConfig) -> None:
    """Train until ``training.max_steps``; the same command again goes on from the newest checkpoint."""
    check_training(cfg)
    resolve_accelerator(cfg)
    if is_done(cfg):
        log.info("%s says that this run is done; nothing to do", Path(cfg.output.dir) / DONE)
        return
    data_module, module = build_parts(cfg)
    with RunLock(cfg.output.dir) if process_rank() == 0 else nullcontext():
        finished = False
        while not finished:
            if settle(cfg):
                data_module, module = build_parts(cfg)
            finished = fits_memory(cfg, lambda: train(cfg, data_module, module))  # noqa: B023 - called at once


def train(cfg: DictConfig, data_module: DataModule, module: Module) -> None:
    """Train in a folder that no other run uses.

    Args:
        cfg: the composed config.
        data_module: of the dataset.
        module: with fresh weights.
    """
    output = Path(cfg.output.dir)
    resume = resume_point(cfg)
    if resume is not None:
        path, state = resume
        if is_finished(state, int(cfg.training.max_steps)):
            log.info("%s already holds all %d steps; nothing to do", path, cfg.training.max_steps)
            write_done(cfg, int(state["global_step"]), state.get(KEY, {}).get("figures", {}))
            return
        module.load_checkpoint_weights(state, where=str(path))
        check_schedule(state, cfg, path)
        check_averaging(state, cfg.training.ema_decay, where=str(path))
        log.info("going on from %s at step %d", path, state.get("global_step", 0))
        del state
    elif cfg.weight is not None:
        module.load_weight(cfg.weight, strict=bool(cfg.weight_strict))
        log.info("starting from the weights of %s", cfg.weight)
    if process_rank() == 0:
        write_text(output / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    trainer = build_trainer(cfg, training=True)
    trainer.fit(module, datamodule=data_module, ckpt_path=None if resume is None else resume[0])
    figures = points_of(trainer).figures
    write_done(cfg, trainer.global_step, figures)
    log.info("trained %d steps: %s  %s", trainer.global_step, output / LAST, figures)


if __name__ == "__main__":
    main()
