"""Where training writes its figures: CSV, TensorBoard or Weights & Biases; the same place after every restart."""

from __future__ import annotations

import logging
import netrc
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from modules.logs.csv_log import ContinuedCSVLogger
from utils.atomic import write_text
from utils.commands.processes import process_rank
from utils.settings import choice

log = logging.getLogger(__name__)

WANDB_ID = "wandb_id.txt"


@dataclass(frozen=True)
class LoggerSettings:
    """``logging.logger`` and ``wandb`` of the config, and the run that is logged.

    Args:
        kind: csv, wandb or tensorboard.
        folder: of the run.
        run_name: at Weights & Biases, with the project and the group there.

    Raises:
        UserError: an unknown logger.
    """

    kind: str
    folder: Path
    run_name: str
    project: str
    group: str | None

    def __post_init__(self) -> None:
        choice(self.kind, ("csv", "wandb", "tensorboard"), "logging.logger")


def logger_settings(config: Mapping[str, Any]) -> LoggerSettings:
    """What a composed configuration, as plain containers, says of loggers."""
    output, wandb = config["output"], config["wandb"]
    kind = str(config["logging"]["logger"])
    return LoggerSettings(kind, Path(output["dir"]), str(output["name"]), wandb["project_name"], wandb["group_name"])


def build_logger(settings: LoggerSettings) -> Logger:
    """The logger of ``logging.logger``; a run that goes on continues its log."""
    if settings.kind == "csv":
        return ContinuedCSVLogger(settings.folder)
    if settings.kind == "tensorboard":
        return TensorBoardLogger(settings.folder, name="logs", version=0)
    return WandbLogger(
        project=settings.project,
        group=settings.group,
        name=settings.run_name,
        save_dir=settings.folder,
        id=wandb_id(settings.folder),
        resume="allow",
        offline=_stays_offline(),
    )


def wandb_id(folder: Path) -> str:
    """The run's id at Weights & Biases: chosen at its first start, kept in its folder."""
    file = folder / WANDB_ID
    if not file.is_file() and process_rank() == 0:  # other processes do not log
        write_text(file, secrets.token_hex(4) + "\n")
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _stays_offline() -> bool:
    """Whether nobody is logged in here; training must not stop to ask."""
    if os.environ.get("WANDB_MODE") or os.environ.get("WANDB_API_KEY"):
        return os.environ.get("WANDB_MODE") == "offline"
    try:
        logged_in = bool(netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        logged_in = False
    if not logged_in and process_rank() == 0:
        log.warning("no login to Weights & Biases here: figures stay in output.dir/wandb; upload them with wandb sync")
    return not logged_in
