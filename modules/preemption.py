"""Schedulers ask training to stop: their signals set a flag that the processes compare between two batches."""

from __future__ import annotations

import signal
from typing import Any

import pytorch_lightning as pl

from modules.stopping import TRY_AGAIN, Stop, StopSource
from utils.signals import STOP_SIGNALS, in_main_thread


class StopAtSignal(StopSource):
    """Makes SIGTERM, SIGUSR1 and SIGUSR2 requests for a stop, from the trainer's set-up to its end.

    The handler only sets a flag. Saving inside a handler, or on one process alone, would deadlock the others as soon
    as they are not at the same instruction: with SLURM every process gets the signal, at different moments, and a
    preempted job of uneven processes would hang until it is killed.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[int, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the signals over from the command."""
        if stage != "fit" or not in_main_thread():
            return
        # Lightning's SIGTERM handler would talk to the other processes inside the handler.
        trainer._signal_connector.register_signal_handlers = lambda: None
        for signum in STOP_SIGNALS:
            self._before[signum] = signal.signal(signum, self._handle)

    def _handle(self, signum: int, frame: object) -> None:
        self.signum = self.signum or signum

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back; once a stop was asked for, further signals change nothing."""
        if not self.signum:
            self._give_back()

    def _give_back(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def wanted(self) -> int:
        """The first signal that came, or 0."""
        return self.signum

    def describe(self, code: int) -> Stop:
        """Stopped by that signal."""
        return Stop(f"stopped by {signal.Signals(code).name}", TRY_AGAIN, requeue=True)
