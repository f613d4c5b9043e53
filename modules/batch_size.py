"""The largest batch that fits the memory: found before training, lowered when memory runs out later."""

from __future__ import annotations

import gc
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback

from data.genx_utils.labels import BatchedLabels
from data.genx_utils.object_labels import ObjectLabels
from modules.detection import Module
from modules.optim import build_optimizer
from modules.utils.fetch import data_module_config, plain
from modules.utils.hardware import chosen_device
from utils.atomic import write_json
from utils.errors import UserError
from utils.out_of_memory import is_out_of_memory
from utils.processes import process_rank

log = logging.getLogger(__name__)

FILE = "batch_size.json"
"""Where a run keeps the size it found, so that every start of it uses the same."""

_BOXES = 8
_SHARE_OF_GPU = 0.95
_WAIT_S, _POLL_S = 3600.0, 0.5
_KEY = "training.dynamic_batch_size"


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
        for name, value, low in (("base", self.base, self.least), ("max", self.max, self.base)):
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise UserError(
                    expected=f"a whole number from {low}",
                    got=repr(value),
                    where=f"{_KEY}.{name}",
                    fix=f"{_KEY}.{name}=N",
                )
        if not isinstance(self.factor, int | float) or isinstance(self.factor, bool) or self.factor <= 1:
            raise UserError(
                expected="a number above 1", got=repr(self.factor), where=f"{_KEY}.factor", fix=f"{_KEY}.factor=2"
            )

    def above(self, size: int) -> int | None:
        """The next larger size, None at the end of the range."""
        return None if size >= self.max else min(max(int(size * self.factor), size + 1), self.max)

    def below(self, size: int) -> int | None:
        """The next smaller size, None at the end of the range."""
        return None if size <= self.least else max(min(int(size / self.factor), size - 1), self.least)


def range_of(cfg: DictConfig) -> BatchSizeRange | None:
    """The range that the config asks for, None if the size is fixed.

    Raises:
        UserError: a number out of range.
    """
    settings = cfg.training.dynamic_batch_size
    if not settings.enabled:
        return None
    mixed = str(cfg.dataset.train.sampling).lower() == "mixed"
    return BatchSizeRange(settings.base, settings.max, settings.factor, least=2 if mixed else 1)


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


def step_fits(cfg: DictConfig, lanes: int) -> bool:
    """Whether two training steps with so many lanes fit the memory of the device."""
    device = chosen_device(cfg)
    error: BaseException | None = None
    try:
        _steps(cfg, lanes, device)
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


def _steps(cfg: DictConfig, lanes: int, device: torch.device) -> None:
    """Two steps on empty frames that all carry labels: the second one has the optimiser's state in memory too."""
    settings = plain(cfg)
    settings["batch_size"] = {**settings["batch_size"], "train": lanes}
    module = Module(settings).to(device).train()
    module.log = module.log_dict = lambda *arguments, **more: None  # type: ignore[method-assign] # there is no trainer
    optimizer = build_optimizer(module.mdl.parameters(), settings["training"])
    batch = _batch(settings, lanes, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    dtype = {"16": torch.float16, "bf": torch.bfloat16}.get(str(cfg.training.precision)[:2])
    enabled = dtype is not None and (device.type == "cuda" or dtype == torch.bfloat16)
    for _ in range(2):
        with torch.autocast(device.type, dtype=dtype or torch.float32, enabled=enabled):
            loss = module.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def _batch(settings: dict[str, Any], lanes: int, device: torch.device) -> dict[str, Any]:
    frame_hw, length = data_module_config(settings).frame_hw, int(settings["dataset"]["sequence_length"])
    channels = int(settings["model"]["backbone"]["input_channels"])
    rows = torch.tensor([[0.0, 4.0, 4.0, 16.0, 16.0, 0.0, 1.0, 1.0]]).repeat(_BOXES, 1)
    cell = ObjectLabels(rows, frame_hw, torch.zeros(_BOXES, dtype=torch.int64))
    return {
        "worker_id": 0,
        "is_first": torch.ones(lanes, dtype=torch.bool),
        "frames": torch.zeros((length, lanes, channels, *frame_hw), dtype=torch.uint8, device=device),
        "labels": BatchedLabels.from_lists([[cell] * lanes for _ in range(length)], frame_hw),
    }


def free_memory() -> None:
    """Give back what a failed step has left."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def settle(cfg: DictConfig) -> bool:
    """Set ``batch_size.train`` to the size that the run uses, searched for at its first start.

    The first process searches, others take over what it wrote.

    Returns:
        whether detector and data must be made (anew): there was a search, or the size is another one than before.

    Raises:
        UserError: not even the smallest size fits, or what the run keeps of its size cannot be read.
    """
    sizes = range_of(cfg)
    if sizes is None:
        return False
    file = Path(cfg.output.dir) / FILE
    if process_rank() > 0:
        _wait_for(file)
    if file.is_file():
        size = _read(file)
        log.info("batch_size.train=%d, as this run found before (%s)", size, file)
        return _use(cfg, size)
    found = largest_that_fits(lambda lanes: step_fits(cfg, lanes), sizes)
    if found is None:
        raise torch.OutOfMemoryError("out of memory with the smallest batch")
    write_json(file, {"train": found, "searched": {"base": sizes.base, "max": sizes.max, "factor": sizes.factor}})
    log.info("batch_size.train=%d is the largest that fits", found)
    _use(cfg, found)
    return True


def _use(cfg: DictConfig, size: int) -> bool:
    before = int(cfg.batch_size.train)
    # The folder keeps the name that it has, even if the batch size is part of it.
    fixed = {key: OmegaConf.select(cfg, key) for key in ("output.name", "output.dir", f"{_KEY}.base", f"{_KEY}.max")}
    for key, value in {**fixed, "batch_size.train": size}.items():
        OmegaConf.update(cfg, key, value)
    return size != before


class StepDown(Callback):
    """When memory runs out in a training step, lets the run use the next smaller size from its next start on.

    Args:
        cfg: the composed config.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write the smaller size down, if there is one."""
        sizes = range_of(self.cfg)
        if sizes is None or trainer.validating or not is_out_of_memory(exception):
            return
        now = int(self.cfg.batch_size.train)
        smaller = sizes.below(now)
        if smaller is None:
            return
        file = Path(self.cfg.output.dir) / FILE
        content = json.loads(file.read_text(encoding="utf-8"))
        write_json(file, {**content, "train": smaller, "lowered": [*content.get("lowered", []), now]})


def fits_memory(cfg: DictConfig, train: Callable[[], None]) -> bool:
    """Train; False if memory ran out and ``settle`` will choose a smaller batch.

    Args:
        cfg: the composed config.
        train: with a trainer that has ``StepDown`` among its callbacks.

    Raises:
        UserError: memory ran out in one of several processes; the same command goes on with the smaller batch.
    """
    try:
        train()
        return True
    except (RuntimeError, MemoryError) as error:
        if range_of(cfg) is None or not is_out_of_memory(error):
            raise
        before, smaller = int(cfg.batch_size.train), _read(Path(cfg.output.dir) / FILE)
        if smaller >= before:
            raise
        if dist.is_available() and dist.is_initialized():
            raise UserError(
                expected=f"enough memory for batch_size.train={before}",
                got="too little in one of several processes",
                where=str(Path(cfg.output.dir) / FILE),
                fix=f"start the same command again: it goes on from the newest checkpoint, with {smaller} lanes",
            ) from error
    log.warning("memory ran out with batch_size.train=%d: going on with %d from the newest checkpoint", before, smaller)
    free_memory()
    return False


def _read(file: Path) -> int:
    try:
        size = json.loads(file.read_text(encoding="utf-8"))["train"]
        if isinstance(size, int) and not isinstance(size, bool) and size > 0:
            return size
        problem = repr(size)
    except (OSError, ValueError, TypeError, KeyError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise UserError(
        expected="the batch size that this run found", got=problem, where=str(file), fix="remove it to search again"
    )


def _wait_for(file: Path) -> None:
    end = time.monotonic() + _WAIT_S
    while not file.is_file():
        if time.monotonic() > end:
            raise UserError(
                expected="the batch size that the first process finds",
                got=f"none in {_WAIT_S:.0f} s",
                where=str(file),
                fix="see the messages of the first process",
            )
        time.sleep(_POLL_S)
