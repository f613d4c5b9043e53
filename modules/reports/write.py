"""The report of a run from its folder alone: ``report.html`` and ``results.png``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.checkpoints.names import CONFIG, LAST
from modules.checkpoints.settings import read_config
from modules.reports.evaluation import FIGURES, evaluation_sections
from modules.reports.labels import QUALITY, SUMMARY, labelling_sections, quality_sections, read, rounds_sections
from modules.reports.page import Block, Section, Table, mapping_table, plots_of, render, value_text
from modules.reports.record import read_record, write_record
from modules.reports.training import training_sections
from utils.atomic import write_text
from utils.commands.processes import process_rank
from utils.errors import UserError
from utils.pictures.plots import save_plots

log = logging.getLogger(__name__)

PAGE, PICTURE = "report.html", "results.png"

MATTER = (
    "dataset.name", "dataset.path", "model.name", "model.size_name",
    "training.max_steps", "training.learning_rate", "training.precision", "training.ema_decay", "batch_size.train",
    "batch_size.eval", "reproduce.seed_everything", "weight", "checkpoint", "save_dir", "source_path",
    "dataset_name", "dataset_path", "experiment_name", "seed", "rounds", "labels.ratio", "labels.train_ratio",
    "supervised.steps", "supervised.learning_rate", "self_training.steps", "self_training.learning_rate", "overrides",
)  # fmt: skip
"""Settings that are told first ..."""

OF_DETECTION = (
    "dataset.ratio", "dataset.train_ratio", "evaluation.score", "model.postprocess.confidence_threshold", "tta.enable",
)  # fmt: skip
"""... and those among them of detectors; other tasks have others (``modules.tasks``)."""

_OF_TRAINING = (
    "training.", "batch_size.train", "reproduce.", "checkpointing.", "validation.", "augmentation.", "resume.",
    "weight", "logging.", "dataset.train.", "hardware.num_workers.train",
)  # fmt: skip
_OF_LABELS = ("dataset.ratio", "dataset.train_ratio", "dataset.split_file")
_PRECISION = "training.precision"


def kind_of(folder: Path) -> str:
    """What a folder holds: evaluation, quality, rounds, labelling or training.

    Raises:
        UserError: nothing of these.
    """
    if (folder / FIGURES).is_file():
        return "evaluation"
    if (folder / QUALITY).is_file():
        return "quality"
    if (folder / SUMMARY).is_file():
        return "rounds" if "arms" in read(folder / SUMMARY) else "labelling"
    if (folder / CONFIG).is_file():
        return "training"
    raise UserError(
        expected="the folder of a training, an evaluation, a labelling, or rounds of self-training",
        got="no such folder" if not folder.is_dir() else "none of their files",
        where=str(folder),
        fix=f"give a folder that holds {CONFIG}, {SUMMARY}, {FIGURES} or {QUALITY}",
    )


def settings_of_run(folder: Path) -> dict[str, Any]:
    """The configuration that a run had, empty if it is not known.

    Raises:
        UserError: its file cannot be understood.
    """
    own = read_record(folder).get("config") or read_config(folder)
    if own is None and (folder / CONFIG).is_file():
        raise UserError(
            expected="the configuration of a run, YAML with keys and values",
            got="something else",
            where=str(folder / CONFIG),
            fix="restore the file, or leave this run out",
        )
    if own is None and (folder / SUMMARY).is_file():
        own = read(folder / SUMMARY).get("settings")
    return own or {}


def used_settings(folder: Path) -> dict[str, Any]:
    """Settings of a run by their whole key, without those that commands of its kind do not read."""
    kind, record = kind_of(folder), read_record(folder)
    settings = flattened(settings_of_run(folder))
    if kind in ("training", "rounds"):
        return settings
    unused = (*_OF_TRAINING, *_OF_LABELS) if kind == "evaluation" else _OF_TRAINING
    on_gpu = any(start.get("device") != "CPU" for start in record.get("starts", []))
    computed = (_PRECISION,) if on_gpu and kind != "quality" else ()  # on a CPU it is float32
    return {key: value for key, value in settings.items() if key in computed or not key.startswith(unused)}


def sections_of(folder: Path) -> tuple[str, list[Section]]:
    """Kind of the run, and the sections of its report."""
    kind, config = kind_of(folder), settings_of_run(folder)
    classes = flattened(config).get("dataset.classes", ())
    make: dict[str, Callable[[], list[Section]]] = {
        "evaluation": lambda: evaluation_sections(folder),
        "quality": lambda: quality_sections(folder),
        "labelling": lambda: labelling_sections(folder),
        "rounds": lambda: rounds_sections(folder),
        "training": lambda: training_sections(folder, classes),
    }
    return kind, [_about(kind, config, read_record(folder)), *make[kind]()]


def write_report(folder: Path | str) -> Path:
    """Write ``report.html`` and ``results.png`` into the folder of a run; returns the page's path.

    Raises:
        UserError: it is no run's folder, or a file in it is damaged.
    """
    folder = Path(folder)
    kind, sections = sections_of(folder)
    title = f"{_TITLES[kind]}: {folder.resolve().name}"
    plots = plots_of(sections)
    if plots:
        save_plots(folder / PICTURE, plots, title=title)
    write_text(folder / PAGE, render(title, sections))
    return folder / PAGE


def leave_report(
    folder: Path | str,
    command: str,
    config: Mapping[str, Any],
    seconds: float,
    keep: Callable[[Path], object] | None = None,
    matter: Sequence[str] = OF_DETECTION,
) -> None:
    """At the end of a command: note what ran, and write the report; what goes wrong is one warning.

    Args:
        folder: of the run.
        command: its name.
        config: as plain containers; ``logging.report`` (or ``report``) says whether there is a report.
        seconds: that the command has taken.
        keep: writes what the report is made of.
        matter: settings that are told first, beside those of every command.
    """
    if not config.get("logging", config)["report"] or process_rank() != 0:
        return
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if keep is not None:
            keep(folder)
        write_record(folder, command, config, seconds, matter)
        log.info("report: %s", write_report(folder))
    except Exception as error:
        log.warning("no report in %s: %s", folder, _said(error))


def folder_beside(save_json: str | None, otherwise: Path) -> Path:
    """Where an evaluation leaves its report: beside its figures, in a folder of their name, or elsewhere without."""
    if save_json is None:
        return otherwise
    path = Path(save_json)
    return path.with_suffix("") if path.suffix else path.with_name(f"{path.name}_report")


def evaluation_folder(checkpoint: Path | str, split: str) -> Path:
    """Beside a checkpoint, a folder for its evaluation: one for each file, so that none replaces that of another.

    >>> str(evaluation_folder("run/last.ckpt", "val")), str(evaluation_folder("run/best.ckpt", "test"))
    ('run/evaluation_val', 'run/evaluation_test_best')
    """
    path = Path(checkpoint)
    return path.parent / (f"evaluation_{split}" if path.name == LAST else f"evaluation_{split}_{path.stem}")


_TITLES = {
    "evaluation": "Evaluation",
    "quality": "Quality of pseudo labels",
    "labelling": "Labelling",
    "rounds": "Rounds of self-training",
    "training": "Training",
}


def _said(error: Exception) -> str:
    text = "; ".join(line.strip() for line in str(error).splitlines())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def _about(kind: str, config: Mapping[str, Any], record: Mapping[str, Any]) -> Section:
    flat = flattened(config)
    told_first = (*MATTER, *record.get("matter", OF_DETECTION))
    matter = [key for key in told_first if kind == "training" or not key.startswith(_OF_TRAINING)]
    blocks: list[Block] = [
        mapping_table({key: value_text(flat[key]) for key in matter if flat.get(key) not in (None, [])})
    ]
    told = {key: record[key] for key in ("command", "commit") if record.get(key)}
    told |= {f"data: {key}": str(value) for key, value in record.get("data", {}).items()}
    if told:
        blocks.append(mapping_table(told, ("what ran", "")))
    starts = record.get("starts", [])
    if starts:
        heads = tuple(starts[-1])
        blocks.append(Table(heads, [[start.get(head) for head in heads] for start in starts]))
    if flat:
        rows = {key: value_text(value) for key, value in flat.items()}
        blocks.append(mapping_table(rows, folded=f"all {len(rows)} settings"))
    return Section("What was run", blocks)


def flattened(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values by their whole key.

    >>> flattened({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        inner = isinstance(value, Mapping) and value
        found |= flattened(value, f"{above}{key}.") if inner else {f"{above}{key}": value}
    return found
