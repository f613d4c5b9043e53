"""Train a detector: ``python train.py --help``."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from modules.checkpointing import LAST, find_newest, load_checkpoint_file
from modules.data.genx import DataModule
from modules.detection import Module
from modules.resume import KEY, is_finished, points_of
from modules.scratch import checkpoint_folder, copy_checkpoints
from modules.utils.fetch import check_data, fetch_data_module, fetch_model_module
from modules.utils.trainer import build_trainer, resolve_accelerator, set_seed_and_threads
from utils.atomic import write_json, write_text
from utils.cli import hydra_entry
from utils.errors import UserError
from utils.processes import process_rank
from utils.run_lock import RunLock

log = logging.getLogger(__name__)
register_resolvers()

DONE = "done.json"


def resume_point(cfg: DictConfig) -> tuple[Path, dict[str, Any]] | None:
    """Return the checkpoint to go on from and its content: the one asked for, or the newest readable one of the run.

    Raises:
        UserError: the file asked for cannot be read or holds weights only, or all files of the run are damaged.
    """
    if cfg.checkpoint is None:
        first = process_rank() == 0
        return find_newest(checkpoint_folder(cfg.output.dir, cfg.output.scratch, first=first), tidy=first)
    state = load_checkpoint_file(cfg.checkpoint)
    if "optimizer_states" not in state:
        raise UserError(
            expected="a checkpoint to resume from, with optimiser and schedule",
            got="weights only",
            where=f"checkpoint={cfg.checkpoint}",
            fix="start a new run from these weights: weight=FILE instead of checkpoint=FILE",
        )
    return Path(cfg.checkpoint), state


def is_done(cfg: DictConfig) -> bool:
    """Whether the run has ended before, with as many steps as are asked for now."""
    file = Path(cfg.output.dir) / DONE
    if not file.is_file():
        return False
    done = json.loads(file.read_text(encoding="utf-8"))
    return int(done.get("max_steps", done["steps"])) >= int(cfg.training.max_steps)


def check_training(cfg: DictConfig) -> None:
    """Check numbers that nothing else would catch before the first step.

    Raises:
        UserError: a count that is not positive.
    """
    for key in ("training.max_steps", "batch_size.train", "batch_size.eval", "training.accumulate_grad_batches"):
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(expected="a whole number from 1", got=str(value), where=key, fix=f"set {key}=N")


def check_schedule(state: dict[str, Any], cfg: DictConfig, where: Path) -> None:
    """Refuse to go on with a learning-rate cycle of another length than the one under way.

    Raises:
        UserError: the lengths differ.
    """
    training = state.get("hyper_parameters", {}).get("config", {}).get("training")
    key = "training.lr_scheduler.total_steps"
    if training is None or not cfg.training.lr_scheduler.use:
        return
    before, now = int(training["lr_scheduler"]["total_steps"]), int(OmegaConf.select(cfg, key))
    if before != now:
        raise UserError(
            expected=f"{key}={before}, with which {where} was trained",
            got=str(now),
            where="training.max_steps, which sets the length of the learning-rate cycle",
            fix=f"add {key}={before}, or start a new run from its weights: output.dir=FOLDER weight={where}",
        )


@hydra_entry("train")
def main(cfg: DictConfig) -> None:
    """Train until ``training.max_steps``; the same command again goes on from the newest checkpoint."""
    check_training(cfg)
    resolve_accelerator(cfg)
    if is_done(cfg):
        log.info("%s says that this run is done; nothing to do", Path(cfg.output.dir) / DONE)
        return
    set_seed_and_threads(cfg)
    data_module = fetch_data_module(cfg)
    module = fetch_model_module(cfg)
    for split in ("train", "val"):
        check_data(data_module, split, list(cfg.dataset.classes))
    with RunLock(cfg.output.dir) if process_rank() == 0 else nullcontext() as lock:
        train(cfg, data_module, module, lock)


def train(cfg: DictConfig, data_module: DataModule, module: Module, lock: RunLock | None) -> None:
    """Train in a folder that no other run uses.

    Args:
        cfg: the composed config.
        data_module: of the dataset.
        module: with fresh weights.
        lock: of the folder, held; None on other processes than the first.
    """
    output = Path(cfg.output.dir)
    resume = resume_point(cfg)
    if resume is not None:
        path, state = resume
        if is_finished(state, int(cfg.training.max_steps)):
            log.info("%s already holds all %d steps; nothing to do", path, cfg.training.max_steps)
            _write_done(cfg, int(state["global_step"]), state.get(KEY, {}).get("figures", {}))
            return
        module.load_checkpoint_weights(state, where=str(path))
        check_schedule(state, cfg, path)
        log.info("going on from %s at step %d", path, state.get("global_step", 0))
        del state
    elif cfg.weight is not None:
        module.load_weight(cfg.weight, strict=bool(cfg.weight_strict))
        log.info("starting from the weights of %s", cfg.weight)
    if process_rank() == 0:
        write_text(output / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    trainer = build_trainer(cfg, training=True, lock=lock)
    trainer.fit(module, datamodule=data_module, ckpt_path=None if resume is None else resume[0])
    figures = points_of(trainer).figures
    _write_done(cfg, trainer.global_step, figures)
    log.info("trained %d steps: %s  %s", trainer.global_step, output / LAST, figures)


def _write_done(cfg: DictConfig, steps: int, figures: dict[str, float]) -> None:
    if process_rank() == 0:
        if cfg.output.scratch is not None:
            copy_checkpoints(Path(cfg.output.scratch), Path(cfg.output.dir))
        done = {"steps": steps, "max_steps": int(cfg.training.max_steps), **figures}
        write_json(Path(cfg.output.dir) / DONE, done)


if __name__ == "__main__":
    main()
