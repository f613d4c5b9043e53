"""Where a training begins: at a resume point, anew, or not at all because it is done."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from modules.checkpoints.files import load_checkpoint_file
from modules.checkpoints.names import DONE
from modules.checkpoints.scratch import checkpoint_folder, copy_checkpoints
from modules.checkpoints.search import find_newest
from modules.optim import OptimizerSettings, ScheduleSettings
from utils.atomic import write_json
from utils.commands.processes import process_rank
from utils.errors import UserError
from utils.json_files import read_json, wrong_kind

log = logging.getLogger(__name__)

_SCHEDULE = {"use": object, **dict.fromkeys(("total_steps", "pct_start", "div_factor", "final_div_factor"), float)}
_TRAINING = {"learning_rate": float, "weight_decay": float, "lr_scheduler": _SCHEDULE, "optimizer?": {}}
RESUME_KIND = {
    "state_dict": {...: Tensor},
    "optimizer_states": [{}],
    "lr_schedulers": [{}],
    "global_step": int,
    "epoch": int,
    "pytorch-lightning_version": str,
    "loops?": {},
    "callbacks?": {},
    "hyper_parameters?": {"config?": {"training?": _TRAINING}},
    "resume?": {"stage": str, "ranks": list, "log_rows": int, "row_to_come": {}, "figures": {}},
}
"""What a checkpoint must hold to go on from it; files of the published programs have no ``resume``."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it makes (``output`` of the config).

    Args:
        dir: checkpoints, logs and the config.
        scratch: another folder for the checkpoints while the run lasts; None: they are in ``dir``.
    """

    dir: Path
    scratch: Path | None = None


@dataclass(frozen=True)
class Limits:
    """Where a training ends: after so many optimiser steps or passes of the plan, whichever comes first."""

    max_steps: int
    max_epochs: int


def resume_point(folder: RunFolder, checkpoint: Path | None) -> tuple[Path, dict[str, Any]] | None:
    """Return the checkpoint to go on from and its content: the one asked for, or the newest readable one of the run.

    Args:
        folder: of the run.
        checkpoint: the one asked for.

    Raises:
        UserError: the file asked for cannot be read or holds weights only, or all files of the run are damaged.
    """
    if checkpoint is None:
        first = process_rank() == 0
        found = find_newest(checkpoint_folder(folder.dir, folder.scratch, first=first), tidy=first)
        if found is not None:
            _check_fields(*found)
        return found
    state = load_checkpoint_file(checkpoint)
    if "optimizer_states" not in state:
        raise UserError(
            expected="a checkpoint to resume from, with optimiser and schedule",
            got="weights only",
            where=f"checkpoint={checkpoint}",
            fix="start a new run from these weights: weight=FILE instead of checkpoint=FILE",
        )
    _check_fields(checkpoint, state)
    return checkpoint, state


def _check_fields(path: Path, state: dict[str, Any]) -> None:
    """Refuse a file that can be read but lacks what a run goes on from."""
    problem = wrong_kind(state, RESUME_KIND)
    if problem is not None:
        raise UserError(
            expected="a checkpoint to resume from, as this project writes them",
            got=f"{problem} in it",
            where=str(path),
            fix=f"start a new run from its weights: output.dir=FOLDER weight={path}; or move it away: the checkpoint "
            "before it, if there is one, is then taken",
        )


def is_done(folder: Path, limits: Limits) -> bool:
    """Whether the run has ended before, with as many steps as are asked for now.

    Raises:
        UserError: the file that says so cannot be understood.
    """
    done = read_done(folder)
    if done is None:
        return False
    steps, before = done["steps"], Limits(done.get("max_steps", 0), done.get("max_epochs", 0))
    if steps >= limits.max_steps:
        return True
    return before.max_steps >= limits.max_steps and before.max_epochs >= limits.max_epochs


def read_done(folder: Path) -> dict[str, Any] | None:
    """What ``write_done`` wrote, None if the run has not ended.

    Raises:
        UserError: the file cannot be understood.
    """
    file = folder / DONE
    if not file.is_file():
        return None
    return read_json(
        file,
        {"steps": int, "max_steps?": int, "max_epochs?": int},
        expected="what a finished run wrote: steps and figures",
        fix="remove it; the same command then goes on from the newest checkpoint",
    )


def write_done(folder: RunFolder, limits: Limits, steps: int, figures: dict[str, float]) -> None:
    """Say that the run is done: its steps, those asked for, and the figures of its last validation."""
    if process_rank() == 0:
        if steps < limits.max_steps:
            log.warning(
                "training.max_epochs=%d ended the run at step %d of training.max_steps=%d; more passes go on",
                limits.max_epochs,
                steps,
                limits.max_steps,
            )
        if folder.scratch is not None:
            copy_checkpoints(folder.scratch, folder.dir)
        write_json(folder.dir / DONE, {"steps": steps, **asdict(limits), **figures})


def check_schedule(
    state: dict[str, Any], training: Mapping[str, Any], where: Path, allow: Collection[str] = ()
) -> None:
    """Refuse to go on with another optimiser or schedule, or a schedule of another length, than is under way.

    Args:
        state: the checkpoint.
        training: section ``training`` of the config, as plain containers.
        where: the checkpoint's path.
        allow: keys that may change, those of the schedule among them.

    Raises:
        UserError: one differs.
    """
    before = state.get("hyper_parameters", {}).get("config", {}).get("training")
    if before is None:
        return
    rates = [OptimizerSettings.of(section) for section in (before, training)]
    pace = [ScheduleSettings.of(section) for section in (before, training)]
    compared = [
        ("optimizer.kind", [each.kind for each in rates]),
        ("optimizer.groups", [each.groups for each in rates]),
    ]
    if pace[1].use and not pace[0].use:
        compared.append(("lr_scheduler.use", [False, True]))
    elif pace[1].use:
        compared.append(("lr_scheduler.kind", [each.kind for each in pace]))
        compared.append(("lr_scheduler.total_steps", [int(each.total_steps) for each in pace]))
    for key, (was, now) in ((f"training.{name}", values) for name, values in compared):
        if was != now and (key not in allow or "optimizer" in key):
            length = "training.max_steps, which sets the length of the learning-rate cycle"
            raise UserError(
                expected=f"{key}={was}, with which {where} was trained",
                got=str(now),
                where=length if key.endswith("total_steps") else key,
                fix=f"add {key}={was}, or start a new run from its weights: output.dir=FOLDER weight={where}",
            )
