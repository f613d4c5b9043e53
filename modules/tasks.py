"""What models are for: which modules carry a task out, and by which figures it is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.registry import spec_of_section
from modules import restoration
from modules.data.checks import check_data, check_sizes
from modules.data.clips import ClipDataModule, check_clips, clip_settings
from modules.data.genx import DataModule
from modules.data.settings import data_module_config
from modules.detection import Module
from modules.evaluation.table import figures_line, figures_table
from modules.reports.evaluation import keep_evaluation, keep_figures
from modules.reports.write import OF_DETECTION
from modules.semi.module import SemiModule
from modules.semi.settings import KEY
from utils.errors import UserError
from utils.evaluation.coco import METRICS
from utils.evaluation.intervals import LEAST_RESAMPLES, MOST_RESAMPLES, RESAMPLES
from utils.evaluation.recordings import Recordings
from utils.settings import whole

Config = Mapping[str, Any]
"""The composed configuration as plain containers."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of models.

    Args:
        module: from the configuration to the LightningModule, with fresh weights.
        data: from the configuration to the LightningDataModule.
        figures: of a validation, by which ``best.ckpt`` may be chosen, the usual one first; higher ones are better.
        shown: those told at the end of a training, which ``done.json`` holds.
        table: an evaluation as text: figures by name, names of the classes, title, and labels by class if known.
        line: figures of a training as text: by name, and the configuration.
        title: of a split's table: the configuration, and the split.
        check: whether a split's data suit the configuration: data module, split, configuration; raises a UserError.
        keep: leave what the report of an evaluation is made of: folder, result, and the module that evaluated.
        recordings: the evaluation that the module kept, by recordings; None where there is no AP.
        matter: settings that its reports tell first, beside those of every command.
        tries_sizes: whether ``training.dynamic_batch_size`` can try batches of it: it makes empty ones of events.
    """

    module: Callable[[dict[str, Any]], Any]
    data: Callable[[dict[str, Any]], Any]
    figures: tuple[str, ...]
    shown: tuple[str, ...]
    table: Callable[..., str]
    line: Callable[[Mapping[str, float], Config], str]
    title: Callable[[Config, str], str]
    check: Callable[[Any, str, Config], None]
    keep: Callable[[Path, Mapping[str, Any], Any], None]
    matter: tuple[str, ...]
    tries_sizes: bool = False
    recordings: Callable[[Any], Recordings] | None = None


def _confidence(config: Config) -> float:
    return float(config["model"]["postprocess"]["confidence_threshold"])


def _title(config: Config, split: str) -> str:
    return f"{config['dataset']['name']}, {split} split"


def _keep_detections(folder: Path, result: Mapping[str, Any], module: Module) -> None:
    evaluation = module.evaluation
    keep_evaluation(folder, result, evaluation.collector.kept, evaluation.evaluator, module.config["dataset"])


def _check_detection(data: DataModule, split: str, config: Config) -> None:
    check_sizes(config["model"], config["dataset"], data.cfg.frame_hw)
    check_data(data, split, list(config["dataset"]["classes"]))


def _clip_bins(config: Config) -> int:
    spikes = config["model"]["spikes"]
    return int(spikes["bins"]) if spikes["enable"] else 0


TASKS = {
    "detection": Task(
        module=lambda config: SemiModule(config) if KEY in config else Module(config),
        data=lambda config: DataModule(data_module_config(config)),
        figures=METRICS,
        shown=METRICS[:2],
        table=figures_table,
        line=lambda figures, config: figures_line(figures, _confidence(config)),
        title=lambda config, split: f"{_title(config, split)}, detections from confidence {_confidence(config):g}",
        check=_check_detection,
        keep=_keep_detections,
        recordings=lambda module: module.evaluation.collector.by_recording(module.evaluation.evaluator),
        matter=OF_DETECTION,
        tries_sizes=True,
    ),
    "restoration": Task(
        module=restoration.RestorationModule,
        data=lambda config: ClipDataModule(clip_settings(config)),
        figures=restoration.FIGURES,
        shown=(*restoration.FIGURES, restoration.BLURRED[0]),
        table=restoration.figures_table,
        line=lambda figures, config: restoration.figures_line(figures),
        title=_title,
        check=lambda data, split, config: check_clips(data, split, _clip_bins(config)),
        keep=lambda folder, result, module: keep_figures(folder, result),
        matter=(
            "model.spikes.enable",
            "model.clips.frames",
            "model.clips.crop",
            "model.tiles.frames",
            "model.tiles.side",
        ),
    ),
}
"""By the name that ``ModelSpec.task`` gives."""

PAYLOADS = ("frames", "events", "clips")
"""What ``ModelSpec.payload`` may say: what sequences hold (``data.payloads``, ``data.clips``)."""


def task_of(config: Config) -> Task:
    """The task of a configuration's model.

    Raises:
        UserError: an unknown family, or one whose task nobody carries out, or whose payload nobody reads.
    """
    spec = spec_of_section(config["model"])
    for what, known, own in (("for", tuple(TASKS), spec.task), ("that reads", PAYLOADS, spec.payload)):
        if own not in known:
            raise UserError(
                expected=f"a model {what} {' or '.join(known)}",
                got=f"'{spec.family}', which is one {what} '{own}'",
                where="model.family",
                fix="choose another model",
            )
    return TASKS[spec.task]


def resamples_of(config: Config) -> int:
    """How often an evaluation draws its recordings again for the intervals of its figures; 0 is not at all.

    Raises:
        UserError: no whole number, one that no memory holds, or a task without such intervals.
    """
    key = "evaluation.bootstrap"
    resamples = whole(config["evaluation"]["bootstrap"], key, 0)
    if resamples > MOST_RESAMPLES:  # before the detector runs, not after it
        fix = f"set {key}={RESAMPLES}: more hardly change an interval"
        raise UserError(expected=f"at most {MOST_RESAMPLES} resamples", got=str(resamples), where=key, fix=fix)
    if 0 < resamples < LEAST_RESAMPLES:
        expected, fix = f"0 or at least {LEAST_RESAMPLES} resamples", f"set {key}={RESAMPLES}"
        raise UserError(expected=expected, got=str(resamples), where=key, fix=fix)
    if resamples and task_of(config).recordings is None:
        expected = "0: figures of detectors alone have an interval"
        raise UserError(expected=expected, got=str(resamples), where=key, fix="leave it out")
    return resamples
