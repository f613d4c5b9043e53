"""How a training begins: with the weights of a resume point, of another file, or fresh ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl

from modules.checkpoints.files import LAST
from modules.checkpoints.names import CONFIG, DONE
from modules.checkpoints.resume_points import KEY, is_finished, points_of
from modules.checkpoints.settings import (
    TOTAL_STEPS,
    Changes,
    below,
    check_settings,
    noted,
    read_config,
    write_config,
)
from modules.checkpoints.start import check_schedule, is_done, read_done, resume_point, write_done
from modules.optim import check_groups
from modules.tasks import task_of
from modules.training.averaging import check_averaging
from modules.training.settings import RunSettings
from modules.weights.module import NetworkModule
from utils.commands.processes import process_rank
from utils.errors import UserError

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


def was_done(run: RunSettings) -> bool:
    """Whether this very run has ended before; says so.

    Raises:
        UserError: the folder is that of a run with other settings.
    """
    folder = run.folder.dir
    if not is_done(folder, run.training.limits):
        return False
    before = read_config(folder)
    changes = {}
    if before is not None:
        changes = check_settings(before, run.config, folder / CONFIG, run.may_change, trains=False)
    figures = {name: value for name, value in (read_done(folder) or {}).items() if isinstance(value, float)}
    log.info("%s says that this run is done; nothing to do: %s  %s", folder / DONE, folder / LAST, _line(run, figures))
    _tell_unused(run, changes)
    return True


def begin(run: RunSettings, module: NetworkModule) -> Beginning:
    """Give a detector the weights that the run goes on or starts with, and keep the settings in its folder.

    Raises:
        UserError: groups of weights that the detector lacks, or a checkpoint that does not fit or was made with other
            settings.
    """
    check_groups((name for name, _ in module.mdl.named_parameters()), run.config["training"])
    resume = resume_point(run.folder, run.checkpoint)
    if resume is None:
        if run.weight is not None:
            module.load_weight(run.weight, strict=run.weight_strict)
            log.info("starting from the weights of %s", run.weight)
        _tell_shorter(run)
        _keep(run, {}, 0)
        return Beginning()
    path, state = resume
    limits, step = run.training.limits, int(state.get("global_step", 0))
    before = state.get("hyper_parameters", {}).get("config", run.config)
    if is_finished(state, limits.max_steps):
        changes = check_settings(before, run.config, path, run.may_change, trains=False)
        log.info("%s already holds all %d steps; nothing to do", path, limits.max_steps)
        _tell_unused(run, changes)
        write_done(run.folder, limits, step, state.get(KEY, {}).get("figures", {}))
        return Beginning(path, finished=True)
    module.load_checkpoint_weights(state, where=str(path))
    check_schedule(state, run.config["training"], path, run.may_change)
    check_averaging(state, run.training.ema_decay, where=str(path))
    changes = check_settings(before, run.config, path, run.may_change)
    log.info("going on from %s at step %d", path, step)
    for key, (was, now) in noted(changes).items():
        log.info("from step %d on %s is %s, was %s", step, key, now, was)
    _keep(run, changes, step)
    return Beginning(path)


def _tell_shorter(run: RunSettings) -> None:
    """Name the run of fewer steps, else the same, beside a new one: steps are in a folder's name, so it has another."""
    folder, shorter = run.folder.dir.absolute(), []
    for other in folder.parent.glob("*/"):
        same = other != folder and _without_steps(other.name) == _without_steps(folder.name)
        config = read_config(other) if same and (other / LAST).is_file() else None
        try:
            if config is not None:
                check_settings(config, run.config, other / CONFIG, (*run.may_change, TOTAL_STEPS))
                training = config["training"]
                shorter.append((training["max_steps"], training["lr_scheduler"]["total_steps"], other))
        except (UserError, KeyError, TypeError):  # another run, or none of ours
            continue
    shorter = [each for each in shorter if each[0] < run.training.limits.max_steps]
    if shorter:
        steps, total, other = max(shorter)
        log.info(
            "a new run, from step 0 on; the one with training.max_steps=%d goes on with output.dir=%s %s=%d",
            *(steps, other, TOTAL_STEPS, total),
        )


def _without_steps(name: str) -> str:
    return re.sub(r"_iter\w+?(?=_|$)", "", name)


def _keep(run: RunSettings, changes: Changes, step: int) -> None:
    if process_rank() == 0:
        write_config(run.folder.dir, run.config, changes, step)


def finish(run: RunSettings, trainer: pl.Trainer) -> None:
    """Say that a run is over, and with which figures."""
    figures = points_of(trainer).figures
    write_done(run.folder, run.training.limits, trainer.global_step, figures)
    log.info("trained %d steps: %s  %s", trainer.global_step, run.folder.dir / LAST, _line(run, figures))


def _line(run: RunSettings, figures: Mapping[str, float]) -> str:
    return task_of(run.config).line(figures, run.config)


def _tell_unused(run: RunSettings, changes: Changes) -> None:
    """Warn of settings that would have changed a run which is over."""
    unused = [key for key in changes if below(key, run.may_change)]
    if unused:
        log.warning("not used, as the run is over: the changed %s; more training.max_steps go on", ", ".join(unused))
