"""The largest batch that fits the memory: found before training, lowered when memory runs out later."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback

from modules.processes.hardware import chosen_device
from modules.training.batch_size_search import free_memory, largest_that_fits, step_fits
from modules.training.settings import RunSettings, TrainingSettings
from utils.atomic import write_json
from utils.commands.out_of_memory import is_out_of_memory
from utils.commands.processes import process_rank
from utils.errors import UserError
from utils.json_files import read_json

log = logging.getLogger(__name__)

FILE = "batch_size.json"
"""Where a run keeps the size it found, so that every start of it uses the same."""

_WAIT_S, _POLL_S = 3600.0, 0.5
_FOUND = {"train": int, "lowered?": list}
_EXPECTED, _FIX = "the batch size that this run found", "remove it to search again"


def settle(run: RunSettings) -> RunSettings:
    """The settings with the ``batch_size.train`` that the run uses, searched for at its first start.

    The first process searches, others take over what it wrote.

    Returns:
        ``run`` itself if nothing changes; other settings, for which detector and data must be made anew, after a search
        or with another size than before.

    Raises:
        UserError: not even the smallest size fits, or what the run keeps of its size cannot be read.
    """
    sizes = run.training.batch_sizes
    if sizes is None:
        return run
    file = run.folder.dir / FILE
    if process_rank() > 0:
        _wait_for(file)
    if file.is_file():
        size = _read(file)
        log.info("batch_size.train=%d, as this run found before (%s)", size, file)
        return run if size == run.training.batch_size else run.with_batch_size(size)
    device = chosen_device(run.hardware)
    found = largest_that_fits(lambda lanes: step_fits(run.config, device, lanes), sizes)
    if found is None:
        raise torch.OutOfMemoryError("out of memory with the smallest batch")
    write_json(file, {"train": found, "searched": {"base": sizes.base, "max": sizes.max, "factor": sizes.factor}})
    log.info("batch_size.train=%d is the largest that fits", found)
    return run.with_batch_size(found)


class StepDown(Callback):
    """When memory runs out in a training step, lets the run use the next smaller size from its next start on.

    Args:
        folder: of the run.
        training: its settings.
    """

    def __init__(self, folder: Path, training: TrainingSettings) -> None:
        self.folder, self.training = folder, training

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write the smaller size down, if there is one."""
        sizes, now = self.training.batch_sizes, self.training.batch_size
        if sizes is None or trainer.validating or not is_out_of_memory(exception):
            return
        smaller = sizes.below(now)
        if smaller is None:
            return
        file = self.folder / FILE
        content = read_json(file, _FOUND, expected=_EXPECTED, fix=_FIX)
        write_json(file, {**content, "train": smaller, "lowered": [*content.get("lowered", []), now]})


def fits_memory(folder: Path, training: TrainingSettings, train: Callable[[], None]) -> bool:
    """Train; False if memory ran out and ``settle`` will choose a smaller batch.

    Args:
        folder: of the run.
        training: its settings.
        train: with a trainer that has ``StepDown`` among its callbacks.

    Raises:
        UserError: memory ran out in one of several processes; the same command goes on with the smaller batch.
    """
    try:
        train()
        return True
    except (RuntimeError, MemoryError) as error:
        if training.batch_sizes is None or not is_out_of_memory(error):
            raise
        before, smaller = training.batch_size, _read(folder / FILE)
        if smaller >= before:
            raise
        if dist.is_available() and dist.is_initialized():
            raise UserError(
                expected=f"enough memory for batch_size.train={before}",
                got="too little in one of several processes",
                where=str(folder / FILE),
                fix=f"start the same command again: it goes on from the newest checkpoint, with {smaller} lanes",
            ) from error
    log.warning("memory ran out with batch_size.train=%d: going on with %d from the newest checkpoint", before, smaller)
    free_memory()
    return False


def _read(file: Path) -> int:
    size = read_json(file, _FOUND, expected=_EXPECTED, fix=_FIX)["train"]
    if size < 1:
        raise UserError(expected=_EXPECTED, got=str(size), where=str(file), fix=_FIX)
    return size


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
