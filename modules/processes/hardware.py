"""Which devices a command runs on, and how several processes train together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, get_args

import torch
from pytorch_lightning.plugins.layer_sync import LayerSync
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
from torch.nn.parallel import DistributedDataParallel

from modules.processes.batch_norm import CpuSyncBatchNorm
from modules.processes.gpu import no_gpu
from modules.processes.launcher import ProcessLauncher
from utils.errors import UserError
from utils.settings import choice, number, settings_of, whole

_BACKENDS = ("nccl", "gloo")
MatmulPrecision = Literal["highest", "high", "medium"]
_MATMUL_PRECISIONS = get_args(MatmulPrecision)
_COMPRESSIONS: dict[str, Any] = {
    "fp16": default_hooks.fp16_compress_hook,
    "bf16": default_hooks.bf16_compress_hook,
    "powersgd": powerSGD_hook,
}
_ONE_BUCKET_MB = 2.0**20


@dataclass(frozen=True)
class DdpSettings:
    """``hardware.ddp`` of the config, where each key is explained.

    Raises:
        UserError: an unknown compression, or a number out of range.
    """

    timeout_s: float
    sync_batchnorm: bool
    bucket_cap_mb: float
    static_graph: bool
    find_unused_parameters: bool
    gradient_as_bucket_view: bool
    gradient_compression: str | None
    powersgd_rank: int
    powersgd_start_iter: int

    def __post_init__(self) -> None:
        number(self.timeout_s, "hardware.ddp.timeout_s", least=1)
        whole(self.powersgd_rank, "hardware.ddp.powersgd_rank")
        if self.gradient_compression is not None:
            choice(self.gradient_compression, _COMPRESSIONS, "hardware.ddp.gradient_compression")


@dataclass(frozen=True)
class HardwareSettings:
    """``hardware`` of the config, where each key is explained; without the loader processes.

    Raises:
        UserError: an unknown name, or a count below 1.
    """

    accelerator: str
    gpus: int | Sequence[int]
    num_processes: int
    num_nodes: int
    dist_backend: str
    threads: int | None
    float32_matmul_precision: MatmulPrecision
    ddp: DdpSettings

    def __post_init__(self) -> None:
        if self.accelerator != "cuda":  # what gpu and auto become
            choice(self.accelerator, ("gpu", "cpu", "auto"), "hardware.accelerator")
        choice(self.dist_backend, _BACKENDS, "hardware.dist_backend")
        choice(self.float32_matmul_precision, _MATMUL_PRECISIONS, "hardware.float32_matmul_precision")
        for name in ("num_processes", "num_nodes"):
            whole(getattr(self, name), f"hardware.{name}")
        if self.threads is not None:
            whole(self.threads, "hardware.threads")


def hardware_settings(config: Mapping[str, Any]) -> HardwareSettings:
    """Devices and processes of a composed configuration, as plain containers.

    Raises:
        UserError: a setting that cannot be.
    """
    return settings_of(HardwareSettings, config, "hardware", ddp=settings_of(DdpSettings, config, "hardware.ddp"))


def resolve_accelerator(hardware: HardwareSettings) -> HardwareSettings:
    """The same settings with ``cpu`` or ``cuda`` as accelerator, or a message that says which override helps.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if hardware.accelerator == "cpu" or (hardware.accelerator == "auto" and not there):
        return replace(hardware, accelerator="cpu")
    if not there:
        raise no_gpu()
    return replace(hardware, accelerator="cuda")


def devices(hardware: HardwareSettings) -> list[int] | int:
    """GPUs of this machine by number, or on a CPU the number of processes.

    Args:
        hardware: with the accelerator resolved.

    Raises:
        UserError: a GPU that is not there.
    """
    if hardware.accelerator == "cpu":
        return hardware.num_processes
    gpus, available = hardware.gpus, torch.cuda.device_count()
    if isinstance(gpus, Sequence):
        chosen = [int(gpu) for gpu in gpus]
    else:
        chosen = list(range(available)) if int(gpus) == -1 else [int(gpus)]
    if not chosen or max(chosen) >= available or min(chosen) < 0:
        raise UserError(
            expected=f"GPU indices from 0 to {available - 1}",
            got=str(chosen),
            where="hardware.gpus",
            fix="choose GPUs of this machine, e.g. hardware.gpus=0",
        )
    return chosen


def chosen_device(hardware: HardwareSettings) -> torch.device:
    """Device for a command that runs in one process: the CPU, or the first GPU of ``hardware.gpus``.

    Raises:
        UserError: the device cannot be had.
    """
    hardware = resolve_accelerator(hardware)
    if hardware.accelerator == "cpu":
        return torch.device("cpu")
    chosen = devices(hardware)
    return torch.device("cuda", chosen[0] if isinstance(chosen, list) else 0)


def trainer_hardware(hardware: HardwareSettings) -> tuple[dict[str, Any], list[LayerSync]]:
    """Arguments of a Trainer about devices and processes, and the plugins that go with them.

    Raises:
        UserError: devices that cannot be had, or another number of processes than was started.
    """
    hardware = resolve_accelerator(hardware)
    chosen, nodes, on_cpu = devices(hardware), hardware.num_nodes, hardware.accelerator == "cpu"
    per_node = chosen if isinstance(chosen, int) else len(chosen)
    _check_started(per_node, nodes, "hardware.num_processes" if on_cpu else "hardware.gpus")
    several = per_node * nodes > 1
    synced = several and hardware.ddp.sync_batchnorm
    arguments: dict[str, Any] = {
        "accelerator": hardware.accelerator,
        "devices": chosen,
        "num_nodes": nodes,
        "strategy": ddp_strategy(hardware) if several else "auto",
        "sync_batchnorm": synced and not on_cpu,
    }
    return arguments, [CpuSyncBatchNorm()] if synced and on_cpu else []


def device_words(arguments: Mapping[str, Any]) -> str:
    """Where a Trainer with these arguments (``trainer_hardware``) computes, and which GPUs there are.

    >>> device_words({"accelerator": "cpu", "devices": 2, "num_nodes": 1}).split(";")[0]
    'CPU, 2 processes'
    """
    chosen, nodes, there = arguments["devices"], arguments["num_nodes"], torch.cuda.device_count()
    if arguments["accelerator"] == "cpu":
        where = "CPU" + f", {chosen * nodes} processes" * (chosen * nodes > 1)
    else:
        where = "GPU " + ", ".join(f"{index} ({torch.cuda.get_device_name(index)})" for index in chosen)
        where += f", on each of {nodes} machines" * (nodes > 1)
    return f"{where}; GPUs in this machine: {there}"


class Ddp(DDPStrategy):
    """Lightning's DDP with this project's launcher; communication hooks work on every device."""

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None, "Lightning sets it before the launcher"
        self._launcher = ProcessLauncher(self.cluster_environment, self.num_processes, self.num_nodes)

    def _register_ddp_hooks(self) -> None:
        if self._ddp_comm_hook is not None:
            assert isinstance(self.model, DistributedDataParallel), "hooks belong to the wrapped model"
            self.model.register_comm_hook(self._ddp_comm_state, self._ddp_comm_hook)


def ddp_strategy(hardware: HardwareSettings) -> Strategy:
    """Distributed data parallel training as ``hardware.ddp`` says."""
    settings, hook, state = hardware.ddp, None, None
    backend = "gloo" if hardware.accelerator == "cpu" else hardware.dist_backend
    bucket_cap_mb = float(settings.bucket_cap_mb)
    if settings.gradient_compression is not None:
        hook = _COMPRESSIONS[settings.gradient_compression]
    if hook is powerSGD_hook:
        state = PowerSGDState(
            process_group=None,
            matrix_approximation_rank=int(settings.powersgd_rank),
            start_powerSGD_iter=int(settings.powersgd_start_iter),
        )
        # Over gloo processes send the factors of several buckets in different orders, and abort (torch 2.15).
        if backend == "gloo":
            bucket_cap_mb = _ONE_BUCKET_MB
    return Ddp(
        process_group_backend=backend,
        ddp_comm_hook=hook,
        ddp_comm_state=state,
        timeout=timedelta(seconds=float(settings.timeout_s)),
        bucket_cap_mb=bucket_cap_mb,
        # Synced batch norms have the same buffers on all processes: there is nothing to send before each step.
        broadcast_buffers=not settings.sync_batchnorm,
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
