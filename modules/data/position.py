"""Where a training stands in its plan: what data modules of every kind have in common."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class PlannedDataModule(pl.LightningDataModule):
    """A data module whose training batches follow a plan, which it can enter anywhere.

    Rank and world size come from the trainer when there is one; the Trainer must not replace samplers
    (``use_distributed_sampler=False``).
    """

    def __init__(self) -> None:
        super().__init__()
        self._start = (0, 0)
        self._handed_out: tuple[int, int] | None = None
        self._train_length: int | None = None

    @property
    def rank(self) -> int:
        """Number of this process among all."""
        return 0 if self.trainer is None else self.trainer.global_rank

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return 1 if self.trainer is None else self.trainer.world_size

    def begin_anew(self, stage: str | None) -> None:
        """To be called in ``setup``: a new fit begins the plan anew."""
        if stage == "fit" and self._handed_out is not None:
            self._start, self._handed_out = (0, 0), None

    def set_start_batch(self, batch: int, epoch: int = 0) -> None:
        """Let the next training loader begin at a batch of the plan."""
        self._start, self._handed_out = (epoch, batch), None

    def note_handed_out(self, position: tuple[int, int]) -> None:
        """To be called with every batch that goes to the device."""
        if self.trainer is not None and self.trainer.training:
            self._handed_out = position

    def next_position(self) -> tuple[int, int]:
        """Epoch and batch that come next in training, whatever loader processes have read ahead."""
        if self._handed_out is None or self._train_length is None:
            return self._start
        epoch, batch = self._handed_out
        batch += 0 if self._in_flight() else 1
        return (epoch, batch) if batch < self._train_length else (epoch + 1, 0)

    def state_dict(self) -> dict[str, Any]:
        """Where training stands in its plan."""
        epoch, batch = self.next_position()
        return {"epoch": epoch, "batch": batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a checkpoint was written."""
        self.set_start_batch(int(state_dict["batch"]), int(state_dict["epoch"]))

    def _in_flight(self) -> bool:
        """Whether the batch handed out last has not been trained on yet."""
        if self.trainer is None:
            return False
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current.state_dict()
        return progress["ready"] > progress["processed"]
