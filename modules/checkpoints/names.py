"""Files of a run's folder, those beside its checkpoints and the newest of these."""

from __future__ import annotations

LAST = "last.ckpt"
"""The newest resume point."""

DONE = "done.json"
"""Exists in the folder of a finished run."""

CONFIG = "config.yaml"
"""What a run uses."""

CHANGES = "config_changes.json"
"""Once a run has gone on with other settings: a list of ``from_step`` and ``changed`` (key: before, now)."""

PICTURES = "pictures"
"""Folder of pictures of a training: ``val_STEP_NUMBER.png`` and ``train_STEP.png``."""
