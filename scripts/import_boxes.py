"""Boxes of other tools are laid beside recordings: ``python scripts/import_boxes.py --help``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omegaconf import DictConfig

from config.resolvers import register_resolvers
from data.box_files.read import BoxContext
from data.box_files.times import ImageTimes, read_time_table
from data.events.open import open_recording
from data.events.recording import recording_name
from data.importers.boxes import ImportedBoxes, check_free, foreseen, plan_import, write_import
from data.preprocessing.config import SPLITS, PreprocessConfig
from data.sequences.account import account_table
from scripts.preprocess_dataset import build_config
from utils.commands.cli import hydra_entry
from utils.errors import UserError
from utils.settings import number, plain, whole
from utils.tables import table

log = logging.getLogger("import_boxes")

register_resolvers()


def times_of(recording: Path, config: dict[str, Any], hw: tuple[int, int]) -> ImageTimes:
    """When the images of a recording were taken.

    Args:
        recording: its file.
        config: of the command.
        hw: height and width of the sensor.

    Raises:
        UserError: a table that is not there or cannot be read, or a rate that is none.
    """
    rate, times = config["rate_hz"], config["times"]
    start = round(number(config["start_ms"], "start_ms") * 1000)
    if config["from_first_event"]:
        start += open_recording(recording, hw).t_first_us
    lines = None
    if times is not None:
        lines = read_time_table(Path(str(path_of(times, "times")).replace("NAME", recording_name(recording))))
    return ImageTimes(
        rate_hz=None if rate is None else number(rate, "rate_hz"),
        start_us=start,
        first_image=None if config["first_image"] is None else whole(config["first_image"], "first_image", least=0),
        table=lines,
    )


def path_of(value: Any, key: str) -> Path:
    """A path in the configuration.

    Raises:
        UserError: a number or a list, as which YAML reads some names.
    """
    if isinstance(value, str) and value:
        return Path(value)
    raise UserError(expected="a path", got=repr(value), where=key, fix=f"set {key}=./NAME")


def splits_of(value: Any) -> list[str]:
    """Names of splits.

    Raises:
        UserError: no list of them.
    """
    if not isinstance(value, list) or not value or any(name not in SPLITS for name in value):
        known = ", ".join(SPLITS)
        raise UserError(expected=f"some of {known}", got=repr(value), where="splits", fix=f"set splits=[{known}]")
    return value


def show(planned: Sequence[ImportedBoxes]) -> None:
    """Print a line for each recording: what it gets, and the times."""
    rows = []
    for one in planned:
        span = f"{one.boxes['t'][0] / 1e6:.6f} to {one.boxes['t'][-1] / 1e6:.6f}" if len(one.boxes) else "-"
        rows.append([f"{one.split}/{one.file.name}", one.images, len(one.boxes), one.left_out, span])
    heads = ["file", "images", "boxes", "left out", "seconds"]
    print("\n".join(table(heads, rows, right=range(1, 4))))


def tell_foreseen(planned: Sequence[ImportedBoxes], settings: PreprocessConfig) -> None:
    """Say which of the boxes preprocessing will leave out, and which are there twice."""
    accounts, again = foreseen(planned, settings)
    if any(account.kept < account.read for account in accounts.values()):
        log.warning("preprocessing will leave some of these boxes out:")
        for line in account_table(accounts):
            log.warning("%s", line)
    if again:
        log.warning("%d boxes are there once more at the same time and place", again)


@hydra_entry("import_boxes")
def main(cfg: DictConfig) -> None:
    """Write ``NAME_bbox.npy`` beside every recording of ``raw_path`` that ``boxes`` has images of."""
    config = plain(cfg)
    settings = build_config(config["dataset"])
    context = BoxContext(settings.class_map, settings.sensor_hw, layout=str(config["layout"]))
    raw_path = path_of(config["raw_path"], "raw_path")
    planned, account = plan_import(
        raw_path,
        path_of(config["boxes"], "boxes"),
        context,
        lambda recording: times_of(recording, config, settings.sensor_hw),
        splits_of(config["splits"]),
    )
    show(planned)
    for line in account_table({"boxes": account}):
        log.info("%s", line)
    if account.kept < account.read:
        log.warning("%d of %d boxes are dropped: %s", account.read - account.kept, account.read, account.words())
    tell_foreseen(planned, settings)
    check_free(planned, bool(config["overwrite"]))
    if config["dry_run"]:
        log.info("nothing is written: dry_run=true")
        return
    write_import(planned)
    log.info("%d files written below %s", len(planned), raw_path)


if __name__ == "__main__":
    main()
