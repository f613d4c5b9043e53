"""The largest batch that fits the memory: found before training, lowered when memory runs out later."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback

from modules.training.batch_size_search import KEY, BatchSizeRange, free_memory, largest_that_fits, step_fits
from utils.atomic import write_json
from utils.commands.out_of_memory import is_out_of_memory
from utils.commands.processes import process_rank
from utils.errors import UserError
from utils.settings import section

log = logging.getLogger(__name__)

FILE = "batch_size.json"
"""Where a run keeps the size it found, so that every start of it uses the same."""

_WAIT_S, _POLL_S = 3600.0, 0.5


def range_of(cfg: DictConfig) -> BatchSizeRange | None:
    """The range that the config asks for, None if the size is fixed.

    Raises:
        UserError: a number out of range.
    """
    settings = section(cfg, KEY)
    if not settings.pop("enabled"):
        return None
    mixed = str(cfg.dataset.train.sampling).lower() == "mixed"
    return BatchSizeRange(**settings, least=2 if mixed else 1)


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
    fixed = {key: OmegaConf.select(cfg, key) for key in ("output.name", "output.dir", f"{KEY}.base", f"{KEY}.max")}
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
