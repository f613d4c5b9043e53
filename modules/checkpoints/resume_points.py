"""Resume points: everything that a run needs to go on as if it had never been stopped.

A run can be taken up at two places of a step, and nowhere else:

``trained``   the batch is trained on; a validation that is due has not begun.
``complete``  validation, if it was due, is over and logged too.

Each validation is preceded by a resume point of the first kind and followed by one of the second, so a run that is
killed in validation runs it again whole, and one that is killed after it does not. Beside what Lightning keeps
(weights, optimiser, schedule, scaler, callbacks) a resume point holds, for every process, the random states, the
recurrent states, the place in the sampling plan and, within an accumulation, the gradients; and how many rows of the
CSV log belong to it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from modules.checkpoints.files import BEST, LAST, AtomicCheckpointIO, Retention, keep_copy, step_name
from modules.logs.csv_log import ContinuedCSVLogger
from modules.processes.host_group import host_group
from modules.processes.rank_state import gather_states, random_states, set_random_states

log = logging.getLogger(__name__)

Stage = Literal["trained", "complete"]
KEY = "resume"
"""Where a checkpoint keeps what is described above."""


def is_finished(state: dict[str, Any], max_steps: int) -> bool:
    """Whether a checkpoint holds all steps, the last validation included."""
    missing = state.get(KEY, {}).get("stage") == "trained"
    return int(state.get("global_step", 0)) >= max_steps and not missing


def points_of(trainer: pl.Trainer) -> ResumePoints:
    """The callback that saves and takes up a trainer's resume points."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined] # set by one of Lightning's connectors
        if isinstance(callback, ResumePoints):
            return callback
    raise RuntimeError("the trainer keeps no resume points: build it with build_trainer(cfg, training=True)")


def save_resume_point(trainer: pl.Trainer) -> Path:
    """Save the newest resume point of a run; collective.

    To be called in ``on_train_batch_end`` after a whole optimiser step, by a callback that runs after those that change
    the state (derive it from ``Checkpoint``), or between batches. In a validation nothing is written: the point before
    it is there already, and the validation will be run again whole.

    Args:
        trainer: of ``build_trainer``.

    Returns:
        The file.

    Raises:
        UserError: the file cannot be written (raised on every process).
    """
    points = points_of(trainer)
    return points.folder / LAST if trainer.validating else points.save_last(trainer)


class ResumePoints(Callback):
    """Saves resume points and takes them up; keeps the files that the config asks for.

    Args:
        folder: of the run.
        retention: what is saved when, and what is kept.
    """

    def __init__(self, folder: Path, retention: Retention) -> None:
        self.folder, self.retention = folder, retention
        self.stage: Stage = "complete"
        self.figures: dict[str, float] = {}
        self._best: float | None = None
        self._loaded: dict[str, Any] | None = None
        self._log_rows = 0
        self._saved_step = -1
        self._row_to_come: dict[str, float] = {}

    # What a checkpoint holds.
    def state_dict(self) -> dict[str, Any]:
        """The best figure so far."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best figure back."""
        self._best = state_dict["best"]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the states of all processes; collective."""
        mine: dict[str, Any] = {"random": random_states(), "plan": {}, "module": {}, "gradients": {}}
        data_module: pl.LightningDataModule | None = trainer.datamodule  # type: ignore[attr-defined]
        if data_module is not None:
            mine["plan"] = data_module.state_dict()
        if hasattr(pl_module, "rank_state_dict"):
            mine["module"] = pl_module.rank_state_dict()  # type: ignore[operator] # a method
        if trainer.fit_loop._should_accumulate():
            named = pl_module.named_parameters()
            mine["gradients"] = {name: p.grad.detach().cpu() for name, p in named if p.grad is not None}
        checkpoint[KEY] = {
            "stage": self.stage,
            "ranks": gather_states(mine, trainer.world_size, host_group()),
            "log_rows": sum(logger.flush() for logger in _csv_loggers(trainer)),
            "row_to_come": self._row_to_come,
            "figures": self.figures,
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what ``take_up`` needs later, when model and loaders stand."""
        self._loaded = checkpoint.get(KEY)
        if self._loaded is None:
            log.warning("the checkpoint was not written as a resume point: recurrent and random states start anew")
            return
        self._saved_step = int(checkpoint["global_step"])
        self.figures = self._loaded["figures"]
        if trainer.ckpt_path is not None and Path(trainer.ckpt_path).resolve().parent == self.folder.resolve():
            self._log_rows = int(self._loaded["log_rows"])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the CSV log go on after the rows that belong to the resume point; remember the folder."""
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            _checkpoint_io(trainer).watch(self.folder)
        for logger in _csv_loggers(trainer):
            logger.begin(self._log_rows)

    @property
    def second_half_missing(self) -> bool:
        """Whether the loaded resume point lies before a validation."""
        return self._loaded is not None and self._loaded["stage"] == "trained"

    def take_up(self, trainer: pl.Trainer) -> Stage:
        """Restore this process's states, at the last moment before the first batch; returns where to go on."""
        loaded, self._loaded = self._loaded, None
        if loaded is None:
            return "complete"
        if loaded["row_to_come"]:
            trainer._logger_connector.log_metrics(loaded["row_to_come"])
        ranks = loaded["ranks"]
        if len(ranks) == trainer.world_size:
            self._restore(trainer.lightning_module, ranks[trainer.global_rank])
        else:
            log.warning(
                "the run was saved by %d processes and goes on with %d: recurrent states start anew, and the result is "
                "not that of an undisturbed run",
                len(ranks),
                trainer.world_size,
            )
        return loaded["stage"]

    @staticmethod
    def _restore(module: pl.LightningModule, mine: dict[str, Any]) -> None:
        if mine["module"]:
            module.load_rank_state_dict(mine["module"])  # type: ignore[operator] # a method; its counterpart wrote this
        for name, parameter in module.named_parameters():
            if name in mine["gradients"]:
                parameter.grad = mine["gradients"][name].to(parameter.device)
        set_random_states(mine["random"])

    # When to save.
    def after_batch(self, trainer: pl.Trainer, validates: bool) -> None:
        """A batch is trained and logged; called by the loop before validation."""
        self.stage = "trained"
        if validates:
            self.save_last(trainer)

    def after_step(self, trainer: pl.Trainer, validated: bool) -> None:
        """A batch is done with everything that belongs to it; called by the loop."""
        self.stage = "complete"
        step, archive = trainer.global_step, self.retention.keep_every_n_steps
        stepped = not trainer.fit_loop._should_accumulate()
        if validated:
            metrics = trainer.callback_metrics
            shown = [f"val/{name}" for name in self.retention.shown]
            self.figures = {name: float(metrics[name]) for name in shown if name in metrics}
            self._save_best(trainer)
        to_archive = stepped and archive > 0 and step % archive == 0
        due = stepped and (step % self.retention.every_n_steps == 0 or step >= trainer.max_steps)
        due |= (
            trainer.fit_loop.epoch_loop._num_ready_batches_reached() and trainer.current_epoch + 1 == trainer.max_epochs
        )
        if validated or due or to_archive:
            self.save_last(trainer)
        if to_archive and trainer.is_global_zero:
            keep_copy(self.folder / LAST, self.folder / step_name(step))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of a run that a callback ended early."""
        if self._saved_step != trainer.global_step:
            self.save_last(trainer)

    def _save_best(self, trainer: pl.Trainer) -> None:
        value = trainer.callback_metrics.get(f"val/{self.retention.monitor or self.retention.figures[0]}")
        if not self.retention.keep_best or value is None or not bool(torch.isfinite(value)):
            return
        if self._best is None or float(value) > self._best:
            self._best = float(value)
            self._save(trainer, self.folder / BEST, keep=1)

    def save_last(self, trainer: pl.Trainer) -> Path:
        """Save ``last.ckpt``; collective. The file before it becomes ``last-1.ckpt`` and so on.

        Raises:
            UserError: it cannot be written; the files before are intact.
        """
        self._saved_step = trainer.global_step
        return self._save(trainer, self.folder / LAST, keep=self.retention.keep_last)

    def _save(self, trainer: pl.Trainer, path: Path, keep: int) -> Path:
        progress = trainer.fit_loop.epoch_loop.batch_progress
        in_hook = progress.current.ready > progress.current.completed
        if in_hook:  # in on_train_batch_end: the batch is done but for Lightning's counter
            self.stage = "trained"
            self._row_to_come = _row_to_come(trainer)
            progress.increment_completed()
        try:
            trainer.save_checkpoint(path, storage_options={"keep": keep})
        finally:
            if in_hook:
                self._row_to_come = {}
                progress.total.completed -= 1
                progress.current.completed -= 1
        _checkpoint_io(trainer).raise_failure(trainer)
        return path


def _checkpoint_io(trainer: pl.Trainer) -> AtomicCheckpointIO:
    checkpoint_io = trainer.strategy.checkpoint_io
    assert isinstance(checkpoint_io, AtomicCheckpointIO), "build_trainer sets it"
    return checkpoint_io


def _row_to_come(trainer: pl.Trainer) -> dict[str, float]:
    """Figures of this batch that Lightning logs only after ``on_train_batch_end``."""
    connector = trainer._logger_connector
    if trainer.fit_loop._should_accumulate() or not connector.should_update_logs:
        return {}
    return {name: float(value) for name, value in connector.metrics["log"].items()}


def _csv_loggers(trainer: pl.Trainer) -> list[ContinuedCSVLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, ContinuedCSVLogger)]
