"""Builds the Lightning Trainer from the config: devices, precision, loggers, callbacks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, LearningRateMonitor

from modules.callbacks.progress import ProgressDisplay
from modules.callbacks.speed import FetchTimer
from modules.checkpoints.files import AtomicCheckpointIO
from modules.checkpoints.loops import make_resumable
from modules.checkpoints.resume_points import ResumePoints, save_resume_point
from modules.checkpoints.scratch import checkpoint_folder
from modules.logs.loggers import build_logger
from modules.processes.hardware import device_words, resolve_accelerator, trainer_hardware
from modules.processes.host_group import SharedFlags
from modules.processes.launcher import leave_process_group
from modules.training.averaging import AveragedWeights
from modules.training.preemption import Preemption, cluster_plugins
from modules.training.rates import ConfiguredRates
from modules.training.settings import RunSettings
from modules.training.stopping import StopAfter
from modules.training.watchers import watchers
from utils.commands.composed import on_command_line
from utils.commands.processes import process_rank
from utils.progress import in_terminal

__all__ = ["build_trainer", "resolve_accelerator", "set_seed_and_threads"]

log = logging.getLogger(__name__)


def _precision(wanted: str, accelerator: str, *, told: bool) -> Any:
    if accelerator == "cpu" and wanted == "16-mixed":
        if told:
            log.info("training.precision=16 needs a GPU; on CPU float32 is used")
        return "32-true"
    return wanted


def set_seed_and_threads(run: RunSettings) -> None:
    """Seed weights and shuffles, and set torch's CPU threads, as the config says."""
    torch.set_float32_matmul_precision(run.hardware.float32_matmul_precision)
    if run.hardware.threads is not None:
        torch.set_num_threads(int(run.hardware.threads))
    if run.random.seed_everything is not None:
        logging.getLogger("lightning_fabric.utilities.seed").setLevel(logging.WARNING)
        pl.seed_everything(int(run.random.seed_everything), workers=True)


def build_trainer(run: RunSettings, *, training: bool) -> pl.Trainer:
    """Trainer for training or for evaluation.

    Args:
        run: its settings.
        training: False leaves out checkpoints and loggers.

    Raises:
        UserError: devices that cannot be had.
    """
    leave_process_group()
    hardware, layer_sync = trainer_hardware(run.hardware)
    log.info("device: %s", device_words(hardware))
    settings, limits, random = run.training, run.training.limits, run.random
    interval = settings.val_check_interval or limits.max_steps
    callbacks: list[Callback] = []
    timer = FetchTimer()
    folder = checkpoint_folder(run.folder.dir, run.folder.scratch, first=process_rank() == 0) if training else Path()
    points = ResumePoints(folder, run.retention)
    if training:
        callbacks += [points, ConfiguredRates(run.config["training"]), LearningRateMonitor(logging_interval="step")]
        flags = SharedFlags()
        callbacks += watchers(run, timer, flags)
        callbacks.append(Preemption(save_resume_point, flags))
        if settings.ema_decay is not None:
            callbacks.append(AveragedWeights(settings.ema_decay, settings.ema_starts_at))  # after the resume points
        if settings.max_time is not None:
            callbacks.append(StopAfter(settings.max_time, save_resume_point, flags=flags))
    if run.logging.progress_bar:
        callbacks.append(ProgressDisplay(live=in_terminal()))
    told = training or on_command_line("training.precision")
    trainer = pl.Trainer(
        **hardware,
        precision=_precision(settings.precision, hardware["accelerator"], told=told),
        logger=build_logger(run.logger) if training else False,
        callbacks=callbacks,
        max_steps=limits.max_steps,
        max_epochs=limits.max_epochs,
        val_check_interval=min(interval, limits.max_steps) * settings.accumulate_grad_batches if training else None,
        check_val_every_n_epoch=None if training else 1,
        limit_val_batches=settings.limit_val_batches if training else 1.0,
        num_sanity_val_steps=0,
        log_every_n_steps=run.logging.log_every_n_steps,
        enable_checkpointing=training,
        enable_progress_bar=False,
        enable_model_summary=False,
        accumulate_grad_batches=settings.accumulate_grad_batches,
        gradient_clip_val=settings.gradient_clip_val or None,
        gradient_clip_algorithm=settings.gradient_clip_algorithm,
        deterministic="warn" if random.deterministic_flag else None,
        benchmark=bool(random.benchmark) and not random.deterministic_flag,
        use_distributed_sampler=False,  # the sampling plan shards by itself
        plugins=[AtomicCheckpointIO(), *layer_sync, *cluster_plugins()],
        default_root_dir=str(run.folder.dir),
        profiler=timer if training else None,
    )
    if training:
        make_resumable(trainer, points)
    return trainer
