"""Write pseudo labels as a new dataset: ``python predict.py --help``."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from config.given import with_given
from config.resolvers import register_resolvers
from modules.data.found import check_at_once
from modules.labelling.dataset import KEPT_VIEWS_DIR, VIEWS_DIR, check_target
from modules.labelling.teachers import check_teacher_files
from utils.atomic import write_json
from utils.commands.cli import hydra_entry
from utils.commands.processes import process_rank
from utils.commands.run_lock import RunLock
from utils.settings import plain
from utils.thresholds import check_thresholds

log = logging.getLogger(__name__)
register_resolvers()


def reserve(config: dict[str, Any]) -> AbstractContextManager[object]:
    """The lock of the new dataset, on the first process.

    Raises:
        UserError: the labels would go into the dataset that they are made from.
    """
    save_dir = Path(config["save_dir"])
    check_target(save_dir, Path(config["dataset"]["path"]) / "train")
    views = (KEPT_VIEWS_DIR, f"{save_dir.name}/{VIEWS_DIR}")
    return RunLock(save_dir.parent, "save_dir", inside=views) if process_rank() == 0 else nullcontext()


@hydra_entry("predict")
def main(cfg: DictConfig) -> None:
    """Label every training sequence; finished ones are kept when the command is started again."""
    began = time.monotonic()
    check_thresholds(plain(cfg))
    if cfg.model.only_load_labels:
        from modules.label_runs import retrack, summary_text
        from modules.reports.write import leave_report

        if process_rank() == 0:
            with reserve(plain(cfg)):
                print(summary_text(retrack(plain(cfg))))  # noqa: T201
                leave_report(Path(cfg.save_dir).parent, "predict", plain(cfg), time.monotonic() - began)
        return
    teachers = check_teacher_files(plain(cfg))
    check_at_once(plain(cfg), Path(cfg.save_dir).parent, "save_dir")
    from models.registry import spec_for
    from modules.data.checks import check_class_ids, check_frame_size
    from modules.label_runs import SUMMARY, label, summary_text
    from modules.processes.shared_work import run_in_processes
    from modules.reports.write import leave_report
    from modules.training.settings import run_settings
    from modules.training.trainer import build_trainer, set_seed_and_threads
    from modules.utils.fetch import fetch_data_module, fetch_model_module
    from modules.weights.network_of import KIND, shared_network

    cfg.model = shared_network(teachers, *with_given(cfg, "model", KIND), cfg.dataset.classes)
    config = plain(cfg)
    spec_for("detection", config["model"])
    run = run_settings(config)
    trainer = build_trainer(run, training=False)
    set_seed_and_threads(run)
    data_module = fetch_data_module(config)
    modules = [fetch_model_module(config) for _ in teachers]
    for module, file in zip(modules, teachers, strict=True):
        module.load_weight(file)
    check_class_ids(data_module, "train", config["dataset"]["classes"])
    check_frame_size(data_module, "train")
    with reserve(config):
        precision = str(trainer.precision)
        summary = run_in_processes(trainer, lambda process: label(config, data_module, modules, process, precision))
        if trainer.is_global_zero:
            write_json(Path(config["save_dir"]).parent / SUMMARY, summary)
            if not summary["pseudo"]:
                log.warning(
                    "no detection became a pseudo label: look at model.postprocess.confidence_threshold=%s and the "
                    "thresholds of model.pseudo_label, and at the teacher's AP",
                    config["model"]["postprocess"]["confidence_threshold"],
                )
            print(f"pseudo labels in {config['save_dir']}\n{summary_text(summary)}")  # noqa: T201
            leave_report(Path(config["save_dir"]).parent, "predict", config, time.monotonic() - began)


if __name__ == "__main__":
    main()
