"""Which batch sizes are tried, and whether one fits the memory: two training steps on empty frames tell."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from data.labels.batched_labels import BatchedLabels
from data.labels.object_labels import ObjectLabels
from data.payloads.base import Inputs
from data.payloads.frames import FrameInputs
from models.rnn_states import map_states
from modules.data.settings import data_module_config
from modules.detection import Module
from modules.optim import build_optimizer
from utils.commands.out_of_memory import is_out_of_memory
from utils.errors import UserError
from utils.settings import number, whole

log = logging.getLogger(__name__)

_BOXES = 8
_SHARE_OF_GPU = 0.95
KEY = "training.dynamic_batch_size"


@dataclass(frozen=True)
class BatchSizeRange:
    """``training.dynamic_batch_size`` of the config.

    Args:
        base: lanes that the search begins with.
        max: most lanes.
        factor: each size is so many times the one before.
        least: fewest lanes; mixed sampling needs two.

    Raises:
        UserError: a number out of range.
    """

    base: int
    max: int
    factor: float
    least: int = 1

    def __post_init__(self) -> None:
        whole(self.base, f"{KEY}.base", self.least)
        whole(self.max, f"{KEY}.max", self.base)
        if number(self.factor, f"{KEY}.factor", 1) == 1:
            raise UserError(expected="a number above 1", got="1", where=f"{KEY}.factor", fix=f"{KEY}.factor=2")

    def above(self, size: int) -> int | None:
        """The next larger size, None at the end of the range."""
        return None if size >= self.max else min(max(int(size * self.factor), size + 1), self.max)

    def below(self, size: int) -> int | None:
        """The next smaller size, None at the end of the range."""
        return None if size <= self.least else max(min(int(size / self.factor), size - 1), self.least)


def largest_that_fits(fits: Callable[[int], bool], sizes: BatchSizeRange) -> int | None:
    """Go up from the base while it fits; if the base does not, go down until it does.

    >>> sizes = BatchSizeRange(base=4, max=20, factor=2)
    >>> largest_that_fits(lambda size: size <= 9, sizes), largest_that_fits(lambda size: size <= 2, sizes)
    (8, 2)
    >>> largest_that_fits(lambda size: True, sizes), largest_that_fits(lambda size: False, sizes)
    (20, None)
    """
    size: int | None = sizes.base
    best: int | None = None
    while size is not None and fits(size):
        best, size = size, sizes.above(size)
    size = sizes.below(sizes.base) if best is None else None
    while size is not None and not fits(size):
        size = sizes.below(size)
    return size if best is None else best


def step_fits(config: Mapping[str, Any], device: torch.device, lanes: int) -> bool:
    """Whether two training steps with so many lanes fit the memory of a device.

    Args:
        config: the composed configuration as plain containers.
        device: where the steps run.
        lanes: of their batch.
    """
    error: BaseException | None = None
    try:
        with tuned_as(config):
            _steps({**config, "batch_size": {**config["batch_size"], "train": lanes}}, lanes, device)
    except (RuntimeError, MemoryError) as failure:
        if not is_out_of_memory(failure):
            raise
        error = failure.with_traceback(None)
    fits = error is None
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        fits &= torch.cuda.max_memory_reserved(device) <= _SHARE_OF_GPU * total
    free_memory()
    log.info("batch_size.train=%d %s", lanes, "fits" if fits else "does not fit")
    return fits


def _steps(config: dict[str, Any], lanes: int, device: torch.device) -> None:
    """Two steps on empty frames that all carry labels.

    The second one has in memory all that a run keeps: the optimiser's state, recurrent states of every stream group,
    and averaged weights.
    """
    module = Module(config).to(device).train()
    module.log = module.log_dict = lambda *arguments, **more: None  # type: ignore[method-assign] # there is no trainer
    optimizer = build_optimizer(module.mdl.named_parameters(), config["training"])
    batch = empty_batch(config, lanes, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    dtype = {"16": torch.float16, "bf": torch.bfloat16}.get(str(config["training"]["precision"])[:2])
    enabled = dtype is not None and (device.type == "cuda" or dtype == torch.bfloat16)
    kept: list[Any] = []
    for _ in range(2):
        with torch.autocast(device.type, dtype=dtype or torch.float32, enabled=enabled):
            loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        kept = kept or kept_beside(config, module)


def kept_beside(config: dict[str, Any], module: Module) -> list[Any]:
    """What a run has in memory beside detector and optimiser: states of all other stream groups, averaged weights.

    Args:
        config: the composed configuration as plain containers.
        module: after a step of stream group 0.
    """
    states = module.train_states.get_states(0)
    groups = data_module_config(config).stream_groups - 1
    kept = [map_states(torch.Tensor.clone, states) for _ in range(groups)]
    if config["training"]["ema_decay"] is not None:
        kept.append([tensor.detach().clone() for tensor in module.mdl.state_dict().values()])
    return kept


@contextmanager
def tuned_as(config: Mapping[str, Any]) -> Iterator[None]:
    """Let cuDNN try kernels, whose workspaces take memory, if the run will."""
    random, before = config["reproduce"], torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = bool(random["benchmark"]) and not random["deterministic_flag"]
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def empty_batch(settings: dict[str, Any], lanes: int, device: torch.device) -> dict[str, Any]:
    """A training batch of empty frames that all carry labels.

    Args:
        settings: the composed configuration as plain containers.
        lanes: of the batch.
        device: where the frames are.
    """
    data, length = data_module_config(settings), int(settings["dataset"]["sequence_length"])
    frame_hw, channels = data.frame_hw, int(settings["dataset"]["representation"]["channels"])
    inputs: Inputs = FrameInputs(torch.zeros((length, lanes, channels, *frame_hw), dtype=torch.uint8, device=device))
    if data.payload is not None:
        inputs = data.payload.stacked([None] * lanes, length, None).to(device)
    rows = torch.tensor([[0.0, 4.0, 4.0, 16.0, 16.0, 0.0, 1.0, 1.0]]).repeat(_BOXES, 1)
    cell = ObjectLabels(rows, frame_hw, torch.zeros(_BOXES, dtype=torch.int64))
    return {
        "worker_id": 0,
        "is_first": torch.ones(lanes, dtype=torch.bool),
        "inputs": inputs,
        "labels": BatchedLabels.from_lists([[cell] * lanes for _ in range(length)], frame_hw),
    }


def free_memory() -> None:
    """Give back what a failed step has left."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
