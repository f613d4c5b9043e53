"""Lightning's training loops with two exact places to stop and go on (see ``modules.checkpoints.resume_points``).

Lightning saves in the middle of a step and mends its counters afterwards, by rules that skip validation or count it
twice. Here checkpoints are written between steps only, so the counters in them are whole and need no mending; the two
classes below replace the few lines that would mend them.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loops.fit_loop import _FitLoop
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from modules.checkpoints.resume_points import ResumePoints


class ResumableEpochLoop(_TrainingEpochLoop):
    """Tells ``points`` when a batch and when a step is done, and goes on where a resume point was written.

    Args:
        trainer: that runs it.
        max_steps: optimiser steps.
        points: saves and takes up.
    """

    def __init__(self, trainer: pl.Trainer, max_steps: int, points: ResumePoints) -> None:
        super().__init__(trainer, max_steps=max_steps)
        self.points = points
        self.second_half = False

    @property
    def done(self) -> bool:
        """As in Lightning, but a step whose second half (validation) is missing is not done."""
        return not self.second_half and super().done

    def on_run_start(self, data_fetcher: Any) -> None:
        """Take the resume point up once the loaders stand; from here on nothing is a restart."""
        super().on_run_start(data_fetcher)
        if self.restarting:
            self.restarting = False
            self.second_half = self.points.take_up(self.trainer) == "trained"

    def _should_check_val_fx(self, data_fetcher: Any) -> bool:
        """As in Lightning, and after the last batch of the last pass, so that no run ends without figures."""
        trainer = self.trainer
        ends = self._num_ready_batches_reached() and trainer.current_epoch + 1 == trainer.max_epochs
        return super()._should_check_val_fx(data_fetcher) or (ends and trainer.enable_validation)

    def advance(self, data_fetcher: Any) -> None:
        """Train on a batch, unless only the second half of its step is missing."""
        if not self.second_half:
            super().advance(data_fetcher)

    def on_advance_end(self, data_fetcher: Any) -> None:
        """Validate if it is due; save what is to be saved before and after."""
        validates = self._should_check_val_fx(data_fetcher)
        if not self.second_half:
            self.points.after_batch(self.trainer, validates)
        super().on_advance_end(data_fetcher)
        self.second_half = False
        self.points.after_step(self.trainer, validates)


class ResumableFitLoop(_FitLoop):
    """As Lightning's; a run whose last step lacks its second half is not done.

    Args:
        trainer: that runs it.
        max_epochs: passes of the sampling plan.
        epoch_loop: the loop over batches.
    """

    def __init__(self, trainer: pl.Trainer, max_epochs: int | None, epoch_loop: ResumableEpochLoop) -> None:
        super().__init__(trainer, min_epochs=None, max_epochs=max_epochs)
        self.epoch_loop: ResumableEpochLoop = epoch_loop

    @property
    def done(self) -> bool:
        """As in Lightning, with the second half of a step counted."""
        half_done = self.epoch_loop.second_half or self.epoch_loop.points.second_half_missing
        return not half_done and super().done


def make_resumable(trainer: pl.Trainer, points: ResumePoints) -> None:
    """Let a new trainer save and take up resume points.

    Args:
        trainer: before ``fit``.
        points: among its callbacks.
    """
    max_steps = trainer.fit_loop.max_steps
    epoch_loop = ResumableEpochLoop(trainer, max_steps, points)
    trainer.fit_loop = ResumableFitLoop(trainer, trainer.fit_loop.max_epochs, epoch_loop)
