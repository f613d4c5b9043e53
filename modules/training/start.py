"""How a training begins: with the weights of a resume point, of another file, or fresh ones."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from modules.checkpoints.resume_points import KEY, is_finished
from modules.checkpoints.start import check_schedule, resume_point, write_done
from modules.detection import Module
from modules.optim import check_groups
from modules.training.averaging import check_averaging
from modules.training.settings import RunSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beginning:
    """Where a training begins.

    Attributes:
        checkpoint: the resume point that it goes on from.
        finished: whether that holds all steps already.
    """

    checkpoint: Path | None = None
    finished: bool = False


def begin(run: RunSettings, module: Module) -> Beginning:
    """Give a detector the weights that the run goes on or starts with.

    Raises:
        UserError: groups of weights that the detector lacks, or a checkpoint that does not fit or was made with another
            optimiser or schedule.
    """
    check_groups((name for name, _ in module.mdl.named_parameters()), run.config["training"])
    resume = resume_point(run.folder, run.checkpoint)
    if resume is None:
        if run.weight is not None:
            module.load_weight(run.weight, strict=run.weight_strict)
            log.info("starting from the weights of %s", run.weight)
        return Beginning()
    path, state = resume
    limits = run.training.limits
    if is_finished(state, limits.max_steps):
        log.info("%s already holds all %d steps; nothing to do", path, limits.max_steps)
        write_done(run.folder, limits, int(state["global_step"]), state.get(KEY, {}).get("figures", {}))
        return Beginning(path, finished=True)
    module.load_checkpoint_weights(state, where=str(path))
    check_schedule(state, run.config["training"], path)
    check_averaging(state, run.training.ema_decay, where=str(path))
    log.info("going on from %s at step %d", path, state.get("global_step", 0))
    return Beginning(path)
