"""Write pseudo labels as a new dataset: ``python predict.py --help``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from config.given import with_given
from config.resolvers import register_resolvers
from modules.data.checks import check_class_ids, check_frame_size
from modules.data.genx import DataModule
from modules.detection import Module
from modules.labelling.config import pseudo_labeler_config
from modules.labelling.retrack import retrack_dataset
from modules.processes.shared_work import Process, run_in_processes
from modules.pseudo_labeler import PseudoLabeler
from modules.training.trainer import build_trainer, set_seed_and_threads
from modules.utils.fetch import fetch_data_module, fetch_model_module
from modules.weights.network_of import KIND, network_of
from utils.atomic import write_json
from utils.commands.cli import hydra_entry
from utils.commands.processes import process_rank
from utils.errors import UserError
from utils.settings import plain
from utils.thresholds import check_thresholds

log = logging.getLogger(__name__)
register_resolvers()

SUMMARY = "summary.json"


def file_hash(path: Path) -> str:
    """SHA-256 of a file, so that a manifest tells which teacher labelled."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def provenance(cfg: DictConfig, precision: str) -> dict[str, Any]:
    """What decides the labels beside the thresholds: teacher, arithmetic, data and which labels it may keep."""
    dataset = OmegaConf.to_container(cfg.dataset, resolve=True)
    assert isinstance(dataset, dict)
    return {
        "checkpoint_sha256": file_hash(Path(cfg.checkpoint)),
        "precision": precision,
        "confidence_threshold": float(cfg.model.postprocess.confidence_threshold),
        **{
            key: dataset[key]
            for key in ("name", "ratio", "ratio_offset", "train_ratio", "split_file", "sequence_length")
        },
        "lanes": int(cfg.batch_size.eval),
    }


def retrack(cfg: DictConfig) -> None:
    """Apply thresholds and tracking again to the labels of the pseudo dataset at ``dataset.path``, without a detector.

    Raises:
        UserError: there is no such dataset.
    """
    labels, save_dir = Path(cfg.dataset.path) / "train", Path(cfg.save_dir)
    if not labels.is_dir():
        raise UserError(
            expected="a pseudo-label dataset with a train folder",
            got="no such folder",
            where=f"dataset.path={cfg.dataset.path}",
            fix="give the dataset whose labels are to be tracked again",
        )
    summary = retrack_dataset(pseudo_labeler_config(plain(cfg)), labels, save_dir, {"labels": str(labels.resolve())})
    write_json(save_dir.parent / SUMMARY, summary)
    log.info("tracked again in %s: %s", save_dir, summary)


def label(cfg: DictConfig, data_module: DataModule, module: Module, process: Process, precision: str) -> dict[str, Any]:
    """Label the share of one process; the summary of the whole dataset comes back on the first one."""
    module.to(process.device).eval()
    labeler = PseudoLabeler(
        pseudo_labeler_config(plain(cfg)),
        Path(cfg.dataset.path) / "train",
        cfg.save_dir,
        provenance(cfg, precision),
        is_main=process.rank == 0,
        barrier=process.barrier,
    )

    def loader(reverse: bool, finished: frozenset[str]) -> Iterable[Mapping[str, Any]]:
        return data_module.labelling_dataloader(reverse, finished, process.rank, process.world_size)

    return labeler.run(module, loader)


@hydra_entry("predict")
def main(cfg: DictConfig) -> None:
    """Label every training sequence; finished ones are kept when the command is started again."""
    check_thresholds(plain(cfg))
    if cfg.model.only_load_labels:
        if process_rank() == 0:
            retrack(cfg)
        return
    if cfg.checkpoint is None or not Path(cfg.checkpoint).is_file():
        raise UserError(
            expected="the teacher's checkpoint",
            got="none" if cfg.checkpoint is None else "no such file",
            where=f"checkpoint={cfg.checkpoint}",
            fix="add checkpoint=FILE to the command",
        )
    cfg.model = network_of(cfg.checkpoint, *with_given(cfg, "model", KIND))
    trainer = build_trainer(cfg, training=False)
    set_seed_and_threads(cfg)
    data_module = fetch_data_module(cfg)
    module = fetch_model_module(cfg)
    module.load_weight(cfg.checkpoint)
    check_class_ids(data_module, "train", list(cfg.dataset.classes))
    check_frame_size(data_module, "train")
    summary = run_in_processes(
        trainer, lambda process: label(cfg, data_module, module, process, str(trainer.precision))
    )
    if trainer.is_global_zero:
        write_json(Path(cfg.save_dir).parent / SUMMARY, summary)
        log.info("pseudo labels in %s (torch %s): %s", cfg.save_dir, torch.__version__, summary)


if __name__ == "__main__":
    main()
