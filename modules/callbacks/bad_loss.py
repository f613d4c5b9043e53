"""Losses that are not finite: the batch is named, the weights never see it, and no such weights are ever saved."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.nn.utils import get_total_norm

from modules.processes.host_group import SharedFlags, host_group
from modules.processes.rank_state import gather_states
from utils.errors import UserError
from utils.settings import choice

log = logging.getLogger(__name__)

OnBadLoss = Literal["stop", "skip"]
MOST_IN_A_ROW = 50
"""So many batches with such a loss, one after the other, end a run that leaves them out: nothing is learnt any more."""


def check_on_bad_loss(value: Any) -> OnBadLoss:
    """The value of ``training.on_bad_loss``.

    Raises:
        UserError: neither ``stop`` nor ``skip``.
    """
    return cast(OnBadLoss, choice(value, ("stop", "skip"), "training.on_bad_loss"))


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether floating-point tensors hold finite numbers only; waits for their device once."""
    floats = [tensor.detach() for tensor in tensors if tensor.is_floating_point() and tensor.numel()]
    return bool(torch.isfinite(get_total_norm(floats, norm_type=float("inf"))))


def describe_batch(batch: Mapping[str, Any]) -> str:
    """The sequences of a batch, with the numbers of their frames (``ev_idx``) in it."""
    lanes = []
    for lane, path in enumerate(batch["path"]):
        frames = batch["ev_idx"][:, lane]
        frames = frames[frames >= 0]
        if path and len(frames):
            backwards = ", in reversed time" if bool(batch["is_reversed"][lane]) else ""
            lanes.append(f"{path} frames {int(frames.min())} to {int(frames.max())}{backwards}")
    return "; ".join(lanes) or "a batch without frames"


class _Verdict:
    """Whether a loss is finite, read on the host without letting a GPU run dry.

    The answer is sent to the host behind the forward pass and read when the backward pass is queued already.
    """

    def __init__(self) -> None:
        self._bad = torch.zeros(1, dtype=torch.bool)
        self._sent: torch.cuda.Event | None = None

    def ask(self, loss: Tensor) -> None:
        bad = ~torch.isfinite(loss.detach()).all().reshape(1)
        if not bad.is_cuda:
            self._bad = bad
            return
        if not self._bad.is_pinned():
            self._bad = self._bad.pin_memory()
        self._bad.copy_(bad, non_blocking=True)
        self._sent = torch.cuda.Event()
        self._sent.record()

    def read(self) -> bool:
        if self._sent is not None:
            self._sent.synchronize()
            self._sent = None
        return bool(self._bad.item())


class BadLoss(Callback):
    """Stops at a loss that is NaN or infinite, or leaves its optimiser step out.

    Every loss is looked at before the optimiser step that it leads to, so such a loss never reaches the weights; if
    one process has one, all of them do the same. Left out means: the gradients of the step are dropped (those of all
    batches that it accumulates), the buffers (statistics of batch normalisation) are put back and the recurrent states
    of the batch's lanes start anew; the schedule goes on. A finite loss may have gradients that are not, so weights are
    looked at too before they are saved.

    Args:
        on_bad_loss: ``stop`` or ``skip``.
        flags: compared here, once for all callbacks that have flags.
    """

    def __init__(self, on_bad_loss: OnBadLoss = "stop", flags: SharedFlags | None = None) -> None:
        self.on_bad_loss = on_bad_loss
        self._flags = flags or SharedFlags()
        self._flags.watch("bad loss", lambda: self._bad)
        self.skipped = 0
        self._in_a_row = 0
        self._drop = False
        self._verdict = _Verdict()
        self._batch: dict[str, Any] = {}
        self._before: list[Tensor] = []
        self._bad = False

    def state_dict(self) -> dict[str, Any]:
        """How many batches were left out; within an accumulation also that its gradients are to be dropped."""
        return {"skipped": self.skipped, "drop": self._drop} if self.skipped else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the count back."""
        self.skipped, self._drop = int(state_dict["skipped"]), bool(state_dict["drop"])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember what the batch is (not its frames), and the buffers if they may have to be put back."""
        kept = ("path", "ev_idx", "is_reversed", "position", "worker_id")
        self._batch = {name: batch[name] for name in kept}
        if self.on_bad_loss == "skip":
            self._before = [buffer.detach().clone() for buffer in pl_module.buffers()]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Ask whether the loss is finite."""
        self._verdict.ask(loss)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the answer; all processes agree.

        Raises:
            UserError: the loss is not finite, and that is not to be left out, or leaving it out cannot help.
        """
        bad = self._bad = self._verdict.read()
        self._flags.compare()
        if not self._flags.largest("bad loss"):
            self._in_a_row = 0
            return
        weights_are_finite = all_finite(pl_module.parameters())
        self._in_a_row += 1
        where = self._where(trainer, bad)
        if not weights_are_finite:
            raise broken_weights(trainer.global_step, where)
        if self.on_bad_loss == "stop" or self._in_a_row > MOST_IN_A_ROW:
            raise self._error(trainer, where)
        self._leave_out(trainer, pl_module, where)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Without gradients an optimiser step changes nothing."""
        if self._drop:
            self._drop = False
            optimizer.zero_grad(set_to_none=True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save finite weights only.

        Raises:
            UserError: some are not; the checkpoints before are intact.
        """
        if not all_finite([*pl_module.parameters(), *pl_module.buffers()]):
            raise broken_weights(trainer.global_step, "the weights, when they were to be saved")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say how many batches were left out."""
        if self.skipped:
            log.warning("%d batches were left out because their loss was not finite", self.skipped)

    def _where(self, trainer: pl.Trainer, bad: bool) -> str:
        """The batches concerned, of all processes on the first one; collective."""
        mine = describe_batch(self._batch) if bad else ""
        parts = gather_states({"where": mine}, trainer.world_size, host_group())
        told = [f"{part['where']}" for part in parts if part["where"]] or [mine or "a batch of another process"]
        epoch, index = self._batch["position"]
        return f"batch {index} of pass {epoch}: " + "; ".join(told)

    def _error(self, trainer: pl.Trainer, where: str) -> UserError:
        many = f", batch number {self._in_a_row} of such ones in a row" if self._in_a_row > 1 else ""
        return UserError(
            expected="a finite loss",
            got=f"{bad_parts(trainer)} in step {trainer.global_step + 1}{many}",
            where=where,
            fix="the newest checkpoint is from before this step: lower training.learning_rate, or set "
            "training.precision=bf16 or 32, and with 'resume.allow=[training]' the same command goes on from there; "
            "training.on_bad_loss=skip leaves such batches out; labels of these frames: scripts/inspect_dataset.py",
        )

    def _leave_out(self, trainer: pl.Trainer, pl_module: pl.LightningModule, where: str) -> None:
        self.skipped += 1
        self._drop = True
        for buffer, before in zip(pl_module.buffers(), self._before, strict=True):
            buffer.copy_(before)
        states = getattr(pl_module, "train_states", None)
        if states is not None:
            states.reset(int(self._batch["worker_id"]))
        log.warning(
            "step %d: the loss is not finite (%s); its optimiser step is left out (number %d so far). %s",
            trainer.global_step + 1,
            bad_parts(trainer),
            self.skipped,
            where,
        )
        for logger in trainer.loggers:
            logger.log_metrics({"train/skipped_batches": self.skipped}, step=trainer.global_step)


def bad_parts(trainer: pl.Trainer) -> str:
    """The logged losses that are not finite, e.g. ``loss nan, iou_loss nan``."""
    parts = [
        f"{name.removeprefix('train/')} {float(value)}"
        for name, value in trainer.callback_metrics.items()
        if name.startswith("train/") and not bool(torch.isfinite(value))
    ]
    return ", ".join(parts) or "a loss that is not finite on another process"


def broken_weights(step: int, where: str) -> UserError:
    """What to tell the user when the weights themselves are not finite."""
    return UserError(
        expected="finite weights",
        got=f"NaN or infinite ones after step {step}: gradients grew beyond all bounds",
        where=where,
        fix="nothing was saved since, and the newest checkpoint holds finite weights: lower training.learning_rate or "
        "training.gradient_clip_val, or set training.precision=bf16 or 32, and with 'resume.allow=[training]' the same "
        "command goes on from there",
    )
