"""A network in training, of whatever task: its weights from files, its optimiser and schedule."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler

from models.registry import spec_for
from models.weights import PREFIX, LoadReport, load_tensors
from modules.optim import build_optimizer, build_scheduler
from modules.weights.files import load_weights

log = logging.getLogger(__name__)


class NetworkModule(pl.LightningModule):
    """A network of any family; it is ``mdl``, so that state dicts carry the names of public RVT and LEOD checkpoints.

    Args:
        config: the composed configuration as plain containers (it is stored in checkpoints).
        task: that the family must be for.

    Raises:
        UserError: it is for another one, or a setting that the network cannot have.
    """

    mdl: Any

    def __init__(self, config: Mapping[str, Any], task: str) -> None:
        super().__init__()
        self.save_hyperparameters({"config": dict(config)})
        self.config = config
        self.mdl = spec_for(task, config["model"]).build(config["model"])

    def keep_for_report(self, keep: bool) -> None:
        """Keep what a report of the evaluation that follows shows beside figures: nothing, unless a task has more."""

    def load_weight(self, path: Path | str, strict: bool = True) -> LoadReport:
        """Load the network's weights from a checkpoint of this project, of RVT or of LEOD.

        Args:
            path: the checkpoint; objects in it other than tensors are ignored, nothing of it is run.
            strict: every name and shape must fit; False loads what fits and logs the rest with reasons.

        Returns:
            what was loaded, what was left out, and why.

        Raises:
            UserError: the file cannot be read or is for a network of other sizes; the message names them.
        """
        report = load_weights(self.mdl, path, strict=strict)
        if not strict:
            log.info("%s: %s", path, report)
        return report

    def load_checkpoint_weights(self, checkpoint: Mapping[str, Any], where: str) -> None:
        """Load the weights of a checkpoint that is already in memory.

        Args:
            checkpoint: a Lightning checkpoint.
            where: its path, for messages.

        Raises:
            UserError: it is for a network of other sizes.
        """
        state = {k.removeprefix(PREFIX): v for k, v in checkpoint["state_dict"].items() if k.startswith(PREFIX)}
        load_tensors(self.mdl, state, where)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients, if there are any: a step that is left out (``training.on_bad_loss``) has none."""
        if any(weight.grad is not None for weight in self.parameters()):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimiser and schedule of the config; one learning rate per optimiser step."""
        training = self.config["training"]
        optimizer = build_optimizer(self.mdl.named_parameters(), training)
        if not training["lr_scheduler"]["use"]:
            return {"optimizer": optimizer}
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": build_scheduler(optimizer, training), "interval": "step", "frequency": 1},
        }
