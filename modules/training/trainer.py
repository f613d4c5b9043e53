"""Builds the Lightning Trainer from the config: devices, precision, loggers, callbacks."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ProgressBar

from modules.callbacks.speed import FetchTimer
from modules.checkpoints.files import AtomicCheckpointIO, Retention
from modules.checkpoints.loops import make_resumable
from modules.checkpoints.resume_points import ResumePoints, save_resume_point
from modules.checkpoints.scratch import checkpoint_folder
from modules.logs.loggers import build_logger
from modules.processes.hardware import chosen_device, resolve_accelerator, trainer_hardware
from modules.processes.launcher import leave_process_group
from modules.training.averaging import AveragedWeights, check_decay
from modules.training.preemption import Preemption, cluster_plugins
from modules.training.stopping import StopAfter, parse_duration
from modules.training.watchers import progress_display, watchers
from utils.commands.processes import process_rank
from utils.errors import UserError

__all__ = ["build_trainer", "chosen_device", "resolve_accelerator", "set_seed_and_threads"]

log = logging.getLogger(__name__)


def _precision(cfg: DictConfig, accelerator: str) -> Any:
    names = {"16": "16-mixed", "16-mixed": "16-mixed", "bf16": "bf16-mixed", "bf16-mixed": "bf16-mixed"}
    names |= {"32": "32-true", "32-true": "32-true"}
    wanted = str(cfg.training.precision)
    if wanted not in names:
        raise UserError(
            expected="16, bf16 or 32", got=f"'{wanted}'", where="training.precision", fix="choose one of them"
        )
    if accelerator == "cpu" and names[wanted] == "16-mixed":
        log.info("training.precision=16 needs a GPU; on CPU float32 is used")
        return "32-true"
    return names[wanted]


def set_seed_and_threads(cfg: DictConfig) -> None:
    """Seed weights and shuffles, and set torch's CPU threads, as the config says."""
    if cfg.hardware.threads is not None:
        torch.set_num_threads(int(cfg.hardware.threads))
    if cfg.reproduce.seed_everything is not None:
        logging.getLogger("lightning_fabric.utilities.seed").setLevel(logging.WARNING)
        pl.seed_everything(int(cfg.reproduce.seed_everything), workers=True)


def build_trainer(cfg: DictConfig, *, training: bool) -> pl.Trainer:
    """Trainer for training or for evaluation.

    Args:
        cfg: the composed config.
        training: False leaves out checkpoints and loggers.

    Raises:
        UserError: devices, precision or logger that cannot be had.
    """
    leave_process_group()
    hardware, layer_sync = trainer_hardware(cfg)
    accumulate = int(cfg.training.accumulate_grad_batches)
    max_steps = int(cfg.training.max_steps)
    interval = int(cfg.validation.val_check_interval) or max_steps
    callbacks: list[Callback] = []
    timer = FetchTimer()
    folder = checkpoint_folder(cfg.output.dir, cfg.output.scratch, first=process_rank() == 0) if training else Path()
    points = ResumePoints(folder, Retention(**cfg.checkpointing))
    if training:
        callbacks += [points, LearningRateMonitor(logging_interval="step"), *watchers(cfg, timer)]
        callbacks.append(Preemption(save_resume_point))
        decay = check_decay(cfg.training.ema_decay)
        if decay is not None:
            callbacks.append(AveragedWeights(decay))  # after the resume points
        limit = parse_duration(cfg.training.max_time, "training.max_time")
        if limit is not None:
            callbacks.append(StopAfter(limit, save_resume_point))
    display = progress_display(cfg, in_terminal=sys.stderr.isatty(), training=training)
    callbacks += display
    trainer = pl.Trainer(
        **hardware,
        precision=_precision(cfg, hardware["accelerator"]),
        logger=build_logger(cfg) if training else False,
        callbacks=callbacks,
        max_steps=max_steps,
        max_epochs=int(cfg.training.max_epochs),
        val_check_interval=min(interval, max_steps) * accumulate if training else None,
        check_val_every_n_epoch=None if training else 1,
        limit_val_batches=cfg.validation.limit_val_batches if training else 1.0,
        num_sanity_val_steps=0,
        log_every_n_steps=int(cfg.logging.log_every_n_steps),
        enable_checkpointing=training,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in display),
        enable_model_summary=False,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=float(cfg.training.gradient_clip_val) or None,
        gradient_clip_algorithm="value",
        deterministic="warn" if cfg.reproduce.deterministic_flag else None,
        benchmark=bool(cfg.reproduce.benchmark) and not cfg.reproduce.deterministic_flag,
        use_distributed_sampler=False,  # the sampling plan shards by itself
        plugins=[AtomicCheckpointIO(), *layer_sync, *cluster_plugins()],
        default_root_dir=str(cfg.output.dir),
        profiler=timer if training else None,
    )
    if training:
        make_resumable(trainer, points)
    return trainer
