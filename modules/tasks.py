"""What models are for: which modules carry a task out, and by which figures it is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.registry import spec_of_section
from modules.data.genx import DataModule
from modules.data.settings import data_module_config
from modules.detection import Module
from modules.evaluation.table import figures_line, figures_table
from modules.semi.module import SemiModule
from modules.semi.settings import KEY
from utils.errors import UserError
from utils.evaluation.coco import METRICS

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
        line: figures of a training as text: by name, and the least confidence of detections.
    """

    module: Callable[[dict[str, Any]], Any]
    data: Callable[[dict[str, Any]], Any]
    figures: tuple[str, ...]
    shown: tuple[str, ...]
    table: Callable[..., str]
    line: Callable[[Mapping[str, float], float], str]


TASKS = {
    "detection": Task(
        module=lambda config: SemiModule(config) if KEY in config else Module(config),
        data=lambda config: DataModule(data_module_config(config)),
        figures=METRICS,
        shown=METRICS[:2],
        table=figures_table,
        line=figures_line,
    ),
}
"""By the name that ``ModelSpec.task`` gives."""

PAYLOADS = ("frames", "events")
"""What ``ModelSpec.payload`` may say: what sequences hold (``data.payloads``)."""


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
