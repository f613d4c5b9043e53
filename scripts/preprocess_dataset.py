"""Raw recordings and boxes become a dataset: ``python scripts/preprocess_dataset.py --help``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omegaconf import DictConfig

from config.resolvers import register_resolvers
from data.inspection.verify import verify_dataset
from data.preprocessing.classes import class_ids
from data.preprocessing.config import PreprocessConfig, RepresentationConfig, names_by_split
from data.preprocessing.dataset import preprocess_dataset
from data.preprocessing.shards import Shard
from utils.commands.cli import hydra_entry
from utils.settings import plain, processes, settings_of

register_resolvers()


def build_config(dataset: Mapping[str, Any], all_windows: bool = False) -> PreprocessConfig:
    """Preprocessing parameters from a file of ``config/dataset``.

    Raises:
        UserError: a value is out of range.
    """
    keys = dataset["preprocessing"]
    return PreprocessConfig(
        sensor_hw=tuple(dataset["sensor_hw"]),
        num_classes=len(dataset["classes"]),
        classes=tuple(map(str, dataset["classes"])),
        representation=settings_of(RepresentationConfig, dataset, "representation"),
        downsample_by_factor_2=dataset["downsample_by_factor_2"],
        all_windows=all_windows,
        **{
            **keys,
            "max_width_splits": tuple(keys["max_width_splits"]),
            "recordings": names_by_split(keys["recordings"]),
            "class_ids": class_ids(keys["class_ids"]),
        },
    )


@hydra_entry("preprocess")
def command(cfg: DictConfig) -> None:
    """Preprocess every recording of ``raw_path`` into ``dataset.path``, or check the dataset that is there."""
    settings = build_config(plain(cfg.dataset), bool(cfg.all_windows))
    num_workers = processes(cfg.hardware.num_workers, "hardware.num_workers")
    if cfg.verify:
        verify_dataset(cfg.dataset.path, settings, num_workers)
        return
    preprocess_dataset(
        raw_path=cfg.raw_path,
        out_path=cfg.dataset.path,
        cfg=settings,
        num_workers=num_workers,
        splits=list(cfg.splits),
        refresh=bool(cfg.refresh),
        shard=Shard.parse(cfg.shard),
    )


def main() -> None:
    """Entry point; ``--verify`` and ``--refresh`` are other ways to write ``verify=true`` and ``refresh=true``."""
    options = {"--verify": "verify=true", "--refresh": "refresh=true"}
    sys.argv = [options.get(argument, argument) for argument in sys.argv]
    command()


if __name__ == "__main__":
    main()
