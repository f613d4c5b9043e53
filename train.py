"""Train a detector: ``python train.py --help``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from modules.checkpointing import LAST, find_last, load_checkpoint_file
from modules.utils.fetch import check_class_ids, fetch_data_module, fetch_model_module
from modules.utils.trainer import build_trainer, resolve_accelerator, set_seed_and_threads
from utils.atomic import write_json, write_text
from utils.cli import hydra_entry
from utils.errors import UserError

log = logging.getLogger(__name__)
register_resolvers()

DONE = "done.json"


def resume_point(cfg: DictConfig) -> Path | None:
    """Return the checkpoint to go on from: the one asked for, or the newest of the run's folder.

    Raises:
        UserError: the file asked for cannot be read or holds weights only.
    """
    if cfg.checkpoint is not None:
        if "optimizer_states" not in load_checkpoint_file(cfg.checkpoint):
            raise UserError(
                expected="a checkpoint to resume from, with optimiser and schedule",
                got="weights only",
                where=f"checkpoint={cfg.checkpoint}",
                fix="start a new run from these weights: weight=FILE instead of checkpoint=FILE",
            )
        return Path(cfg.checkpoint)
    return find_last(cfg.output.dir)


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
    set_seed_and_threads(cfg)
    data_module = fetch_data_module(cfg)
    module = fetch_model_module(cfg)
    output = Path(cfg.output.dir)
    resume = resume_point(cfg)
    if resume is not None:
        state = load_checkpoint_file(resume)
        if int(state.get("global_step", 0)) >= int(cfg.training.max_steps):
            log.info("%s already holds all %d steps; nothing to do", resume, cfg.training.max_steps)
            write_json(output / DONE, {"steps": int(state["global_step"])})
            return
        module.load_checkpoint_weights(state, where=str(resume))
        check_schedule(state, cfg, resume)
        log.info("going on from %s at step %d", resume, state.get("global_step", 0))
    elif cfg.weight is not None:
        module.load_weight(cfg.weight, strict=bool(cfg.weight_strict))
        log.info("starting from the weights of %s", cfg.weight)

    for split in ("train", "val"):
        check_class_ids(data_module, split, list(cfg.dataset.classes))
    write_text(output / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    trainer = build_trainer(cfg, training=True)
    trainer.fit(module, datamodule=data_module, ckpt_path=resume)
    if trainer.interrupted:
        raise KeyboardInterrupt
    trainer.save_checkpoint(output / LAST)
    figures = {
        name: float(value) for name, value in trainer.callback_metrics.items() if name in ("val/AP", "val/AP_50")
    }
    if trainer.is_global_zero:
        write_json(output / DONE, {"steps": trainer.global_step, **figures})
    log.info("trained %d steps: %s  %s", trainer.global_step, output / LAST, figures)


if __name__ == "__main__":
    main()
