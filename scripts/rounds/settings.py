"""One folder holds one experiment: its settings are remembered, and others refused; mistakes show before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from config.compose import compose
from modules.labelling.config import pseudo_labeler_config
from utils.atomic import write_json
from utils.errors import UserError
from utils.jobs.steps import Step
from utils.thresholds import check_thresholds

SETTINGS = "settings.json"


def check_settings(root: Path, settings: Mapping[str, object]) -> None:
    """Refuse to mix two experiments in one folder; remember the settings of a new one.

    Args:
        root: folder of the experiment.
        settings: JSON values; whatever changes results.

    Raises:
        UserError: the folder holds results of other settings; the message names the keys that differ.
    """
    path = root / SETTINGS
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(settings))
        differing = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if differing:
            raise UserError(
                expected="the settings this experiment was started with",
                got=", ".join(f"{key}={now.get(key)} (before: {before.get(key)})" for key in differing),
                where=str(path),
                fix="choose another root folder, or take the changed keys back",
            )
        return
    write_json(path, settings)


def check_commands(steps: Iterable[Step], root: Path) -> None:
    """Compose the commands of an experiment, so that none fails by its settings after others have run for hours.

    Args:
        steps: those of programs without a config are left out.
        root: folder of the experiment; commands that differ in what lies there only are composed once.

    Raises:
        UserError: one does not compose, or its thresholds or settings of labelling cannot be.
    """
    seen: set[tuple[str, ...]] = set()
    for step in steps:
        name, overrides = Path(step.command[1]).stem, step.command[2:]
        kind = (name, *(text for text in overrides if str(root) not in text))
        if name not in _COMPOSED or kind in seen:
            continue
        seen.add(kind)
        config = compose(overrides, name)
        check_thresholds(config)
        if name == "predict":
            pseudo_labeler_config(config)


_COMPOSED = ("train", "predict", "val", "val_dst")
