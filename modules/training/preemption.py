"""Stops training between two batches when a scheduler, its time limit or Ctrl-C asks for it, with everything saved."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.callbacks import Checkpoint

from modules.processes.host_group import SharedFlags, host_barrier, largest_of_all
from utils.commands.signals import STOP_SIGNALS, CommandStopped, forget_stops, ignore_stop, in_main_thread, note_stop
from utils.jobs.slurm import current_job


class Preemption(Checkpoint):
    """Lets all processes agree to stop after the same optimiser step, save, and leave by ``CommandStopped``.

    A signal only sets a flag. Saving inside a handler, or on one process alone, would deadlock the others as soon as
    they are not at the same instruction: SLURM signals every process, at different moments for uneven ones. Instead
    the flags are compared after every optimiser step and every validation batch. It is a ``Checkpoint`` so that
    Lightning runs it after the callbacks that save: what they keep at this step is there too.

    Args:
        save: writes the resume point and returns its path; called by all processes, in validation too.
        flags: somebody else compares them after each backward pass.
    """

    def __init__(self, save: Callable[[pl.Trainer], Path | None], flags: SharedFlags | None = None) -> None:
        self.save = save
        self._flags = flags or SharedFlags()
        self._flags.watch("signal", lambda: self.signum)
        self.signum = 0
        self._before: dict[int, Any] = {}
        self._seen_step = 0
        self._rounds_left = 0

    # Signals.
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the signals over from the command, until training ends."""
        if stage != "fit" or not in_main_thread():
            return
        # Lightning's own SIGTERM handler would talk to the other processes inside the handler.
        trainer._signal_connector.register_signal_handlers = lambda: None
        for signum in (*STOP_SIGNALS, signal.SIGINT):
            self._before[signum] = signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: object) -> None:
        if signum == signal.SIGINT and self.signum == signal.SIGINT:  # the second Ctrl-C ends the process at once
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self.signum = self.signum or signum
        note_stop(signum)  # for who waits for a batch that never comes

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back, unless the way out that they asked for is under way."""
        if isinstance(exception, CommandStopped):
            ignore_stop()
        else:
            self._give_back()

    def _give_back(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._before.clear()
        forget_stops()

    # Agreement.
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count steps."""
        self._seen_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop here if any process was asked to, after whole optimiser steps only."""
        if trainer.global_step != self._seen_step:
            self._seen_step = trainer.global_step
            self._stop(trainer, self._flags.largest("signal"))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Processes may have different numbers of batches here: the largest says how often all compare flags."""
        batches = sum(int(count) for count in trainer.num_val_batches if count != float("inf"))
        (self._rounds_left,) = largest_of_all([batches])

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop in the middle of validation if any process was asked to."""
        self._compare_in_validation(trainer)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the processes that have more batches company, before the results are gathered."""
        while self._rounds_left > 0:
            self._compare_in_validation(trainer)

    def _compare_in_validation(self, trainer: pl.Trainer) -> None:
        if self._rounds_left > 0:
            self._rounds_left -= 1
            self._stop(trainer, *largest_of_all([self.signum]))

    def _stop(self, trainer: pl.Trainer, signum: int) -> None:
        if not signum:
            return
        self.save(trainer)
        host_barrier()  # nobody leaves before everything is on disk
        when = f"{'in the validation after' if trainer.validating else 'after'} step {trainer.global_step}"
        raise CommandStopped(
            f"stopped by {signal.Signals(signum).name} {when}; everything is saved, and the same command goes on there",
            128 + signum,
            requeue=signum != signal.SIGINT,
        )


def cluster_plugins() -> list[SLURMEnvironment]:
    """Lightning's SLURM environment where srun started this process, without its own way of queueing jobs again.

    That one saves ``hpc_ckpt`` files inside the signal handler.
    """
    return [SLURMEnvironment(auto_requeue=False)] if current_job() is not None and SLURMEnvironment.detect() else []
