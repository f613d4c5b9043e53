"""What a dataset holds, and what is wrong with it: ``python scripts/inspect_dataset.py --help``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omegaconf import DictConfig

from config.resolvers import register_resolvers, sensor_size
from data.inspection.config import Expectation
from data.inspection.dataset import DatasetReport, inspect_dataset
from data.inspection.picture import check_suffix, save_picture
from data.inspection.text import report_text
from data.representations.factory import make_representation
from utils.atomic import write_json
from utils.commands.cli import hydra_entry
from utils.errors import UserError
from utils.settings import plain

log = logging.getLogger(__name__)
register_resolvers()


def build_expectation(config: Mapping[str, Any]) -> Expectation:
    """What the dataset should be: as its config says, or, without one, as its own files are.

    Raises:
        UserError: no folder is given, or a value is out of range.
    """
    if config["path"] is None:
        raise UserError(
            expected="a dataset", got="none", where="path", fix="add path=FOLDER, or dataset=NAME dataset.path=FOLDER"
        )
    path, splits, frames_read = Path(config["path"]), tuple(config["splits"]), config["frames_read"]
    dataset = config.get("dataset")
    if dataset is None:
        return Expectation(path, splits=splits, frames_read=frames_read)
    height, width = sensor_size(dataset["sensor_hw"])
    keys = dataset["representation"]
    representation = make_representation(keys["kind"], keys["bins"], keys["count_cutoff"], keys["dt_ms"])
    return Expectation(
        path,
        ev_repr_name=keys["name"],
        downsampled=bool(dataset["downsample_by_factor_2"]),
        sensor_hw=(height, width),
        channels=representation.channels,
        dtype=str(representation.dtype),
        classes=tuple(dataset["classes"]),
        sequence_length=int(dataset["sequence_length"]),
        splits=splits,
        frames_read=frames_read,
    )


def complain(report: DatasetReport) -> None:
    """Turn what is wrong into exit status 2.

    Raises:
        UserError: something is wrong.
    """
    if report.findings.num_wrong:
        kinds = report.findings.kinds(wrong=True)
        first = report.findings.first(kinds[0])
        counted = ", ".join(f"{kind} ({report.findings.counts[kind]})" for kind in kinds)
        raise UserError(
            expected="a sound dataset",
            got=f"{counted}; first {first.where}: {first.detail}",
            where=str(report.expected.path),
            fix=first.fix if len(kinds) == 1 else f"{first.fix}; for the others see the list above",
        )


@hydra_entry("inspect_dataset")
def main(cfg: DictConfig) -> None:
    """Print what the dataset holds and what is wrong with it; save picture and figures if asked for."""
    expectation = build_expectation(plain(cfg))
    picture = None if cfg.save_picture is None else Path(cfg.save_picture)
    if picture is not None:
        check_suffix(picture)
    report = inspect_dataset(expectation)
    print(report_text(report))
    if picture is not None:
        save_picture(report, picture)
        log.info("picture: %s", picture)
    if cfg.save_json is not None:
        write_json(cfg.save_json, report.as_dict())
    complain(report)


if __name__ == "__main__":
    main()
