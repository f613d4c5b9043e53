"""Builds the Lightning Trainer from the config: devices, precision, loggers, callbacks."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from pytorch_lightning.strategies import DDPStrategy

from modules.callbacks import ProgressLines
from modules.checkpointing import AtomicCheckpointIO, checkpoint_callbacks
from utils.errors import UserError

log = logging.getLogger(__name__)


def resolve_accelerator(cfg: DictConfig) -> str:
    """Return ``cpu`` or ``cuda`` as the config asks, or say which override helps.

    Raises:
        UserError: a GPU is asked for and there is none, or the name is unknown.
    """
    wanted = str(cfg.hardware.accelerator)
    if wanted not in ("gpu", "cuda", "cpu", "auto"):
        raise UserError(
            expected="gpu, cpu or auto", got=f"'{wanted}'", where="hardware.accelerator", fix="choose one of them"
        )
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError(
            expected="a CUDA GPU",
            got="none on this machine",
            where="hardware.accelerator=gpu (the default)",
            fix="add hardware.accelerator=cpu to the command",
        )
    return "cuda"


def _devices(cfg: DictConfig, accelerator: str) -> list[int] | int:
    gpus = cfg.hardware.gpus
    if accelerator == "cpu":
        return 1
    if OmegaConf.is_list(gpus):
        chosen = [int(gpu) for gpu in gpus]
    elif int(gpus) == -1:
        return -1
    else:
        chosen = [int(gpus)]
    available = torch.cuda.device_count()
    if not chosen or max(chosen) >= available or min(chosen) < 0:
        raise UserError(
            expected=f"GPU indices from 0 to {available - 1}",
            got=str(chosen),
            where="hardware.gpus",
            fix="choose GPUs of this machine, e.g. hardware.gpus=0",
        )
    return chosen


def chosen_device(cfg: DictConfig) -> torch.device:
    """Device for a command that runs in one process: the CPU, or the first GPU of ``hardware.gpus``.

    Raises:
        UserError: the device cannot be had.
    """
    accelerator = resolve_accelerator(cfg)
    if accelerator == "cpu":
        return torch.device("cpu")
    devices = _devices(cfg, accelerator)
    return torch.device("cuda", devices[0] if isinstance(devices, list) else 0)


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


def _logger(cfg: DictConfig) -> Logger:
    folder = Path(cfg.output.dir)
    kind = str(cfg.logging.logger)
    if kind == "csv":
        return CSVLogger(folder, name="logs")
    if kind == "tensorboard":
        return TensorBoardLogger(folder, name="logs")
    if kind == "wandb":
        folder.mkdir(parents=True, exist_ok=True)
        return WandbLogger(
            project=cfg.wandb.project_name, group=cfg.wandb.group_name, name=cfg.output.name, save_dir=folder
        )
    raise UserError(
        expected="csv, wandb or tensorboard", got=f"'{kind}'", where="logging.logger", fix="choose one of them"
    )


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
    accelerator = resolve_accelerator(cfg)
    devices = _devices(cfg, accelerator)
    several = devices == -1 or (isinstance(devices, list) and len(devices) > 1)
    strategy: Any = "auto"
    if several:
        strategy = DDPStrategy(process_group_backend=str(cfg.hardware.dist_backend), gradient_as_bucket_view=True)
    accumulate = int(cfg.training.accumulate_grad_batches)
    max_steps = int(cfg.training.max_steps)
    interval = int(cfg.validation.val_check_interval) or max_steps
    callbacks: list[Callback] = []
    if training:
        callbacks += [*checkpoint_callbacks(Path(cfg.output.dir), int(cfg.checkpointing.every_n_steps))]
        callbacks.append(LearningRateMonitor(logging_interval="step"))
    progress = bool(cfg.logging.progress_bar)
    if progress and sys.stderr.isatty():
        callbacks.append(TQDMProgressBar(refresh_rate=10))
    elif progress and training:
        callbacks.append(ProgressLines())
    return pl.Trainer(
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        precision=_precision(cfg, accelerator),
        logger=_logger(cfg) if training else False,
        callbacks=callbacks,
        max_steps=max_steps,
        max_epochs=int(cfg.training.max_epochs),
        val_check_interval=min(interval, max_steps) * accumulate if training else None,
        check_val_every_n_epoch=None if training else 1,
        limit_val_batches=cfg.validation.limit_val_batches if training else 1.0,
        num_sanity_val_steps=0,
        log_every_n_steps=int(cfg.logging.log_every_n_steps),
        enable_checkpointing=training,
        enable_progress_bar=progress and sys.stderr.isatty(),
        enable_model_summary=False,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=float(cfg.training.gradient_clip_val) or None,
        gradient_clip_algorithm="value",
        deterministic="warn" if cfg.reproduce.deterministic_flag else None,
        benchmark=bool(cfg.reproduce.benchmark) and not cfg.reproduce.deterministic_flag,
        use_distributed_sampler=False,  # the sampling plan shards by itself
        plugins=[AtomicCheckpointIO()],
        sync_batchnorm=several,
        default_root_dir=str(cfg.output.dir),
    )
