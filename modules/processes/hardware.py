"""Which devices a command runs on, and how several processes train together."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.plugins.layer_sync import LayerSync
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

from modules.processes.batch_norm import CpuSyncBatchNorm
from modules.processes.launcher import ProcessLauncher
from utils.errors import UserError

_BACKENDS = ("nccl", "gloo")
_COMPRESSIONS = ("fp16", "bf16", "powersgd")


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


def devices(cfg: DictConfig, accelerator: str) -> list[int] | int:
    """GPUs of this machine by number, or on a CPU the number of processes.

    Raises:
        UserError: a GPU that is not there, or a count below 1.
    """
    if accelerator == "cpu":
        return _count(cfg, "hardware.num_processes")
    gpus = cfg.hardware.gpus
    available = torch.cuda.device_count()
    if OmegaConf.is_list(gpus):
        chosen = [int(gpu) for gpu in gpus]
    elif int(gpus) == -1:
        chosen = list(range(available))
    else:
        chosen = [int(gpus)]
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
    chosen = devices(cfg, accelerator)
    return torch.device("cuda", chosen[0] if isinstance(chosen, list) else 0)


def trainer_hardware(cfg: DictConfig) -> tuple[dict[str, Any], list[LayerSync]]:
    """Arguments of a Trainer about devices and processes, and the plugins that go with them.

    Raises:
        UserError: devices or settings that cannot be had, or another number of processes than was started.
    """
    accelerator = resolve_accelerator(cfg)
    chosen = devices(cfg, accelerator)
    per_node = chosen if isinstance(chosen, int) else len(chosen)
    nodes = _count(cfg, "hardware.num_nodes")
    _check_started(per_node, nodes, "hardware.num_processes" if accelerator == "cpu" else "hardware.gpus")
    several = per_node * nodes > 1
    arguments: dict[str, Any] = {
        "accelerator": accelerator,
        "devices": chosen,
        "num_nodes": nodes,
        "strategy": ddp_strategy(cfg, accelerator) if several else "auto",
        "sync_batchnorm": several and accelerator == "cuda",
    }
    return arguments, [CpuSyncBatchNorm()] if several and accelerator == "cpu" else []


class Ddp(DDPStrategy):
    """Lightning's DDP with this project's launcher; communication hooks work on every device."""

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None, "Lightning sets it before the launcher"
        self._launcher = ProcessLauncher(self.cluster_environment, self.num_processes, self.num_nodes)

    def _register_ddp_hooks(self) -> None:
        if self._ddp_comm_hook is not None:
            assert isinstance(self.model, DistributedDataParallel), "hooks belong to the wrapped model"
            self.model.register_comm_hook(self._ddp_comm_state, self._ddp_comm_hook)


def ddp_strategy(cfg: DictConfig, accelerator: str) -> Strategy:
    """Distributed data parallel training as ``hardware.ddp`` says.

    Raises:
        UserError: an unknown backend or compression.
    """
    settings = cfg.hardware.ddp
    backend = _choice(str(cfg.hardware.dist_backend), _BACKENDS, "hardware.dist_backend")
    hook: Any = None
    state: Any = None
    if settings.gradient_compression is not None:
        kind = _choice(str(settings.gradient_compression), _COMPRESSIONS, "hardware.ddp.gradient_compression")
        hooks = {"fp16": default_hooks.fp16_compress_hook, "bf16": default_hooks.bf16_compress_hook}
        hook = hooks.get(kind, powerSGD_hook)
        if kind == "powersgd":
            state = PowerSGDState(
                process_group=None,
                matrix_approximation_rank=int(settings.powersgd_rank),
                start_powerSGD_iter=int(settings.powersgd_start_iter),
            )
    return Ddp(
        process_group_backend="gloo" if accelerator == "cpu" else backend,
        ddp_comm_hook=hook,
        ddp_comm_state=state,
        timeout=timedelta(seconds=float(settings.timeout_s)),
        bucket_cap_mb=float(settings.bucket_cap_mb),
        static_graph=bool(settings.static_graph),
        find_unused_parameters=bool(settings.find_unused_parameters),
        gradient_as_bucket_view=bool(settings.gradient_as_bucket_view),
    )


def _check_started(per_node: int, nodes: int, key: str) -> None:
    """Compare with the number of processes that torchrun or srun started."""
    wanted = per_node * nodes
    if "TORCHELASTIC_RUN_ID" in os.environ:
        launcher, started = "torchrun", int(os.environ["WORLD_SIZE"])
    elif "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        launcher, started = "SLURM", int(os.environ["SLURM_NTASKS"])
        if started > 1:  # Lightning asks for it, and srun --ntasks alone does not set it
            os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(started // nodes))
    else:
        return
    if started != wanted:
        raise UserError(
            expected=f"{wanted} processes: {key} × hardware.num_nodes",
            got=f"{started}, started by {launcher}",
            where=f"{key}, hardware.num_nodes",
            fix=f"let both agree, e.g. {key}={started // nodes} on CPU, or start {wanted} tasks",
        )


def _count(cfg: DictConfig, key: str) -> int:
    value = OmegaConf.select(cfg, key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(expected="a whole number from 1", got=str(value), where=key, fix=f"set {key}=1")
    return value


def _choice(value: str, choices: tuple[str, ...], key: str) -> str:
    if value not in choices:
        raise UserError(expected=" or ".join(choices), got=f"'{value}'", where=key, fix="choose one of them")
    return value
