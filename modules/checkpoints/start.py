"""Where a training begins: at a resume point, anew, or not at all because it is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from modules.checkpoints.files import load_checkpoint_file
from modules.checkpoints.scratch import checkpoint_folder, copy_checkpoints
from modules.checkpoints.search import find_newest
from utils.atomic import write_json
from utils.commands.processes import process_rank
from utils.errors import UserError

DONE = "done.json"
"""Exists in the folder of a finished run."""

_LIMITS = ("max_steps", "max_epochs")


def resume_point(cfg: DictConfig) -> tuple[Path, dict[str, Any]] | None:
    """Return the checkpoint to go on from and its content: the one asked for, or the newest readable one of the run.

    Raises:
        UserError: the file asked for cannot be read or holds weights only, or all files of the run are damaged.
    """
    if cfg.checkpoint is None:
        first = process_rank() == 0
        return find_newest(checkpoint_folder(cfg.output.dir, cfg.output.scratch, first=first), tidy=first)
    state = load_checkpoint_file(cfg.checkpoint)
    if "optimizer_states" not in state:
        raise UserError(
            expected="a checkpoint to resume from, with optimiser and schedule",
            got="weights only",
            where=f"checkpoint={cfg.checkpoint}",
            fix="start a new run from these weights: weight=FILE instead of checkpoint=FILE",
        )
    return Path(cfg.checkpoint), state


def is_done(cfg: DictConfig) -> bool:
    """Whether the run has ended before, with as many steps as are asked for now.

    Raises:
        UserError: the file that says so cannot be understood.
    """
    file = Path(cfg.output.dir) / DONE
    if not file.is_file():
        return False
    try:
        done = json.loads(file.read_text(encoding="utf-8"))
        steps, limits = int(done["steps"]), [int(done.get(name, 0)) for name in _LIMITS]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            expected="what a finished run wrote: steps and figures",
            got=f"{type(error).__name__}: {error}",
            where=str(file),
            fix="remove it; the same command then goes on from the newest checkpoint",
        ) from error
    wanted = [int(cfg.training[name]) for name in _LIMITS]
    return steps >= wanted[0] or all(before >= now for before, now in zip(limits, wanted, strict=True))


def write_done(cfg: DictConfig, steps: int, figures: dict[str, float]) -> None:
    """Say that the run is done: its steps, those asked for, and the figures of its last validation."""
    if process_rank() == 0:
        if cfg.output.scratch is not None:
            copy_checkpoints(Path(cfg.output.scratch), Path(cfg.output.dir))
        done = {"steps": steps, **{name: int(cfg.training[name]) for name in _LIMITS}, **figures}
        write_json(Path(cfg.output.dir) / DONE, done)


def check_schedule(state: dict[str, Any], cfg: DictConfig, where: Path) -> None:
    """Refuse to go on with a learning-rate cycle of another length than the one under way.

    Raises:
        UserError: the lengths differ.
    """
    training = state.get("hyper_parameters", {}).get("config", {}).get("training")
    key = "training.lr_scheduler.total_steps"
    if training is None or not cfg.training.lr_scheduler.use:
        return
    before, now = int(training["lr_scheduler"]["total_steps"]), int(OmegaConf.select(cfg, key))
    if before != now:
        raise UserError(
            expected=f"{key}={before}, with which {where} was trained",
            got=str(now),
            where="training.max_steps, which sets the length of the learning-rate cycle",
            fix=f"add {key}={before}, or start a new run from its weights: output.dir=FOLDER weight={where}",
        )
