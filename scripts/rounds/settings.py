"""One folder holds one experiment: its settings are remembered, and others refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from utils.atomic import write_json
from utils.errors import UserError

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
