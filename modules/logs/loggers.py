"""Where training writes its figures: CSV, TensorBoard or Weights & Biases; the same place after every restart."""

from __future__ import annotations

import logging
import netrc
import os
import secrets
from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from modules.logs.csv_log import ContinuedCSVLogger
from utils.atomic import write_text
from utils.commands.processes import process_rank
from utils.errors import UserError

log = logging.getLogger(__name__)

WANDB_ID = "wandb_id.txt"


def build_logger(cfg: DictConfig) -> Logger:
    """The logger of ``logging.logger``; a run that goes on continues its log.

    Raises:
        UserError: an unknown logger.
    """
    folder, kind = Path(cfg.output.dir), str(cfg.logging.logger)
    if kind == "csv":
        return ContinuedCSVLogger(folder)
    if kind == "tensorboard":
        return TensorBoardLogger(folder, name="logs", version=0)
    if kind == "wandb":
        return WandbLogger(
            project=cfg.wandb.project_name,
            group=cfg.wandb.group_name,
            name=cfg.output.name,
            save_dir=folder,
            id=wandb_id(folder),
            resume="allow",
            offline=_stays_offline(),
        )
    raise UserError(
        expected="csv, wandb or tensorboard", got=f"'{kind}'", where="logging.logger", fix="choose one of them"
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
