"""Train a detector: ``python train.py --help``."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from modules.averaging import check_averaging, check_decay
from modules.batch_size import fits_memory, range_of, settle
from modules.callbacks import checked_settings, progress_display
from modules.checkpointing import LAST, Retention
from modules.data.genx import DataModule
from modules.detection import Module
from modules.resume import KEY, is_finished, points_of
from modules.resume_start import DONE, check_schedule, is_done, resume_point, write_done
from modules.stopping import parse_duration
from modules.utils.fetch import check_data, fetch_data_module, fetch_model_module
from modules.utils.trainer import build_trainer, resolve_accelerator, set_seed_and_threads
from utils.atomic import write_text
from utils.commands.cli import hydra_entry
from utils.commands.processes import process_rank
from utils.commands.run_lock import RunLock
from utils.errors import UserError

log = logging.getLogger(__name__)
register_resolvers()

NUMBERS = (
    ("training.learning_rate", 1e-12, math.inf),
    ("training.weight_decay", 0, math.inf),
    ("training.gradient_clip_val", 0, math.inf),
    ("training.lr_scheduler.pct_start", 0, 1),
    ("training.lr_scheduler.div_factor", 1e-12, math.inf),
    ("training.lr_scheduler.final_div_factor", 1e-12, math.inf),
    ("logging.data_wait_warning", 0, math.inf),
)
"""Keys that are numbers, with the least and the largest."""


def check_training(cfg: DictConfig) -> None:
    """Check numbers that nothing else would catch before the first step.

    Raises:
        UserError: a count that is not positive, a rate that is no number, or another setting out of its range.
    """
    for key in ("training.max_steps", "batch_size.train", "batch_size.eval", "training.accumulate_grad_batches"):
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(expected="a whole number from 1", got=str(value), where=key, fix=f"set {key}=N")
    for key, least, most in NUMBERS:
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise UserError(
                expected=f"a number from {least:g}" + (f" to {most:g}" if most < math.inf else ""),
                got=repr(value),
                where=key,
                fix=f"set {key}=X",
            )
    parse_duration(cfg.training.max_time, "training.max_time")
    check_decay(cfg.training.ema_decay)
    Retention(**cfg.checkpointing)
    range_of(cfg)
    checked_settings(cfg)
    progress_display(cfg, in_terminal=False, training=True)


def build_parts(cfg: DictConfig) -> tuple[DataModule, Module]:
    """Data and a detector with fresh weights, the same at every start.

    Raises:
        UserError: data that cannot be used, or settings that cannot be.
    """
    set_seed_and_threads(cfg)
    data_module = fetch_data_module(cfg)
    module = fetch_model_module(cfg)
    for split in ("train", "val"):
        check_data(data_module, split, list(cfg.dataset.classes))
    return data_module, module


@hydra_entry("train")
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
