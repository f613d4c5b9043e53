"""Quality of pseudo labels against the labels that were hidden: ``python val_dst.py --help``."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from omegaconf import DictConfig

from config.given import output_given
from config.resolvers import register_resolvers
from utils.commands.cli import hydra_entry
from utils.errors import UserError
from utils.settings import plain
from utils.thresholds import check_thresholds

log = logging.getLogger(__name__)
register_resolvers()


@hydra_entry("val_dst")
def main(cfg: DictConfig) -> None:
    """Print precision, recall and AP per class; write JSON and a picture if asked for."""
    config, began = plain(cfg), time.monotonic()
    check_thresholds(config)
    dataset = config["dataset"]
    pseudo = Path(dataset["path"]) / "train"
    if not pseudo.is_dir():
        raise UserError(
            expected="a pseudo-label dataset with a train folder",
            got="no such folder",
            where=f"dataset.path={dataset['path']}",
            fix="give the folder that predict.py wrote, without its last part: dataset.path=FOLDER",
        )
    from modules.evaluation.evaluator import evaluator_from_config
    from modules.label_quality.figures import evaluate_pseudo_labels, source_split_of
    from modules.label_quality.steps import evaluate_steps
    from modules.labelling.config import pseudo_labeler_config
    from modules.labelling.finished import check_finished

    check_finished(config)
    name, half = dataset["representation"]["name"], bool(dataset["downsample_by_factor_2"])
    source = source_split_of(pseudo, name, half) if cfg.source_path is None else Path(cfg.source_path) / "train"
    # Labels are compared at full resolution, whatever the frames have.
    full_size = {**config, "dataset": {**dataset, "downsample_by_factor_2": False}}
    classes, thresholds = dataset["classes"], pseudo_labeler_config(config).thresholds
    evaluator = evaluator_from_config(full_size)
    report = evaluate_pseudo_labels(pseudo, source, name, classes, evaluator, thresholds, half)
    height, width = dataset["sensor_hw"]
    steps = evaluate_steps(
        pseudo, source, name, classes, lambda: evaluator_from_config(full_size), thresholds, (height, width), half
    )
    print(report.text())  # noqa: T201
    if steps is not None:
        report.figures["steps"] = steps.figures
        print(f"\n{steps.text()}")  # noqa: T201
    if cfg.save_json is not None:
        report.save_json(cfg.save_json)
    if cfg.save_picture is not None:
        report.save_picture(cfg.save_picture)
        if steps is not None:
            picture = Path(cfg.save_picture)
            steps.save_picture(picture.with_stem(f"{picture.stem}_steps"))
    from modules.reports.labels import keep_quality
    from modules.reports.write import folder_beside, leave_report

    place = Path(config["output"]["dir"] if output_given(cfg) else dataset["path"])
    folder = folder_beside(cfg.save_json, place / "label_quality")
    leave_report(folder, "val_dst", config, time.monotonic() - began, lambda at: keep_quality(at, report))


if __name__ == "__main__":
    main()
