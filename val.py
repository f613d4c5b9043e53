"""Evaluate a checkpoint with the Prophesee protocol: ``python val.py --help``."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from config.given import output_given, with_given
from config.resolvers import register_resolvers
from modules.data.found import check_dataset_folder
from modules.processes.gpu import check_gpu
from utils.atomic import write_json
from utils.commands.cli import hydra_entry
from utils.errors import UserError
from utils.settings import plain

log = logging.getLogger(__name__)
register_resolvers()


@hydra_entry("val")
def main(cfg: DictConfig) -> None:
    """Print AP overall and per class on the val or test split."""
    began = time.monotonic()
    if cfg.checkpoint is None:
        raise UserError(
            expected="a trained detector", got="none", where="checkpoint", fix="add checkpoint=FILE to the command"
        )
    check_dataset_folder(plain(cfg))
    check_gpu(plain(cfg))
    from modules.tasks import resamples_of, task_of
    from modules.training.settings import run_settings
    from modules.training.trainer import build_trainer, resolve_accelerator, set_seed_and_threads
    from modules.utils.fetch import fetch_data_module, fetch_model_module
    from modules.weights.network_of import KIND, network_of

    own = output_given(cfg)
    dataset = cfg.dataset
    cfg.model = network_of(cfg.checkpoint, *with_given(cfg, "model", KIND), dataset.classes, dataset.path)
    run = run_settings(plain(cfg))
    run = replace(run, hardware=resolve_accelerator(run.hardware))
    task, resamples = task_of(run.config), resamples_of(run.config)
    set_seed_and_threads(run)
    data_module = fetch_data_module(run.config)
    module = fetch_model_module(run.config)
    module.load_weight(cfg.checkpoint)
    test = bool(cfg.use_test_set)
    task.check(data_module, "test" if test else "val", run.config)
    trainer = build_trainer(run, training=False)
    evaluate = trainer.test if test else trainer.validate
    module.keep_for_report(bool(cfg.logging.report) or resamples > 0)
    (results, *_) = evaluate(module, datamodule=data_module, verbose=False)
    prefix = "test/" if test else "val/"
    figures = {name.removeprefix(prefix).split("/dataloader")[0]: value for name, value in results.items()}
    if trainer.is_global_zero:
        split = "test" if test else "val"
        counted = dict(module.counted)
        print(task.table(figures, list(cfg.dataset.classes), task.title(run.config, split), counted))  # noqa: T201
        result = {"checkpoint": str(cfg.checkpoint), "split": split, "labels": counted, "figures": figures}
        measured = task.recordings(module) if resamples and task.recordings is not None else None
        if measured is not None:
            from utils.evaluation.intervals import interval_line, intervals

            result["intervals"] = intervals(measured, resamples)
            print(interval_line(result["intervals"], figures))  # noqa: T201
        if cfg.save_json is not None:
            write_json(cfg.save_json, result)
        from modules.reports.write import evaluation_folder, folder_beside, leave_report
        from utils.evaluation.recordings import FILE as RECORDINGS

        def keep(at: Path) -> None:
            task.keep(at, result, module)
            if measured is not None:
                measured.save(at / RECORDINGS)

        place = run.folder.dir / f"evaluation_{split}" if own else evaluation_folder(cfg.checkpoint, split)
        seconds = time.monotonic() - began
        leave_report(folder_beside(cfg.save_json, place), "val", run.config, seconds, keep, task.matter)


if __name__ == "__main__":
    main()
