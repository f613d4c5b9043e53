"""PEDRo samples become a dataset: ``python scripts/import_pedro.py --help``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omegaconf import DictConfig

from config.resolvers import register_resolvers
from data.importers.pedro import import_samples
from data.preprocessing.shards import Shard
from scripts.preprocess_dataset import build_config
from utils.commands.cli import hydra_entry
from utils.settings import plain, processes

register_resolvers()


@hydra_entry("import_pedro")
def command(cfg: DictConfig) -> None:
    """Import every sample of ``raw_path`` into ``dataset.path``."""
    import_samples(
        raw_path=cfg.raw_path,
        out_path=cfg.dataset.path,
        cfg=build_config(plain(cfg.dataset)),
        num_windows=int(cfg.num_windows),
        sample_ms=float(cfg.sample_ms),
        pool=bool(cfg.pool),
        num_workers=processes(cfg.hardware.num_workers, "hardware.num_workers"),
        refresh=bool(cfg.refresh),
        shard=Shard.parse(cfg.shard),
    )


def main() -> None:
    """Entry point; ``--refresh`` is another way to write ``refresh=true``."""
    sys.argv = ["refresh=true" if argument == "--refresh" else argument for argument in sys.argv]
    command()


if __name__ == "__main__":
    main()
