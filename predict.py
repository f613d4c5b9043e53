"""Write pseudo labels as a new dataset: ``python predict.py --help``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from config.resolvers import register_resolvers
from modules.pseudo_labeler import PseudoLabeler
from modules.utils.fetch import check_class_ids, fetch_data_module, fetch_model_module, plain
from modules.utils.pseudo_config import pseudo_labeler_config
from modules.utils.retrack import retrack_dataset
from modules.utils.trainer import chosen_device, set_seed_and_threads
from utils.atomic import write_json
from utils.cli import hydra_entry
from utils.errors import UserError

log = logging.getLogger(__name__)
register_resolvers()

SUMMARY = "summary.json"


def file_hash(path: Path) -> str:
    """SHA-256 of a file, so that a manifest tells which teacher labelled."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def provenance(cfg: DictConfig) -> dict[str, Any]:
    """What decides the labels beside the thresholds: teacher, data and which labels it may keep."""
    dataset = OmegaConf.to_container(cfg.dataset, resolve=True)
    assert isinstance(dataset, dict)
    return {
        "checkpoint_sha256": file_hash(Path(cfg.checkpoint)),
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


@hydra_entry("predict")
def main(cfg: DictConfig) -> None:
    """Label every training sequence; finished ones are kept when the command is started again."""
    if cfg.model.only_load_labels:
        retrack(cfg)
        return
    if cfg.checkpoint is None or not Path(cfg.checkpoint).is_file():
        raise UserError(
            expected="the teacher's checkpoint",
            got="none" if cfg.checkpoint is None else "no such file",
            where=f"checkpoint={cfg.checkpoint}",
            fix="add checkpoint=FILE to the command",
        )
    device = chosen_device(cfg)
    set_seed_and_threads(cfg)
    data_module = fetch_data_module(cfg)
    module = fetch_model_module(cfg)
    module.load_weight(cfg.checkpoint)
    module.to(device).eval()
    save_dir, source = Path(cfg.save_dir), Path(cfg.dataset.path) / "train"
    check_class_ids(data_module, "train", list(cfg.dataset.classes))
    labeler = PseudoLabeler(pseudo_labeler_config(plain(cfg)), source, save_dir, provenance(cfg))

    def loader(reverse: bool, finished: frozenset[str]) -> Iterable[Mapping[str, Any]]:
        # Finished sequences are still read past: the other lanes then hold the same frames as in an undisturbed run.
        del finished
        return data_module.predict_dataloader(reverse=reverse)

    summary = labeler.run(module, loader)
    write_json(save_dir.parent / SUMMARY, summary)
    log.info("pseudo labels in %s (torch %s): %s", save_dir, torch.__version__, summary)


if __name__ == "__main__":
    main()
