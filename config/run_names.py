"""What the command line says of a run, for the name of its folder: no two runs of a study share one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf
from yaml import YAMLError

_TOLD = {
    "training.learning_rate": "lr",
    "dataset.ratio": "ratio",
    "dataset.train_ratio": "train",
    "reproduce.seed_everything": "seed",
    "semi": "",
}
_NAMED = ("model", "dataset", "batch_size.train", "training.max_steps")
_ELSEWHERE = re.compile(r"(output|hardware|logging|wandb|checkpointing|resume|hydra)\b")


def run_name(root: str, plain: str) -> str:
    """A plain name with ``_lr0.001_seed7`` behind it for what the command line gives of rate, labels and seed.

    A sweep appends a short hash of the rest that it gives, beside what names tell already and where a run is kept. A
    run with the very same values that has the plain name already, as runs of earlier releases have, keeps it.

    Args:
        root: folder of all runs.
        plain: what a run is called by model, dataset, lanes and steps.
    """
    if not HydraConfig.initialized():
        return plain
    chosen = HydraConfig.get()
    overrides = [OverridesParser.create().parse_override(text) for text in chosen.overrides.task]
    given = {each.key_or_group: each for each in overrides if not each.is_delete()}
    told = {key: given[key] for key in _TOLD if key in given}
    rest = [
        f"{key}={given[key].get_value_element_as_str()}"
        for key in sorted(given)
        if key not in (*_TOLD, *_NAMED) and not _ELSEWHERE.match(key)
    ]
    name = "".join(f"_{_TOLD[key]}{override.get_value_element_as_str()}" for key, override in told.items())
    if chosen.mode == RunMode.MULTIRUN and rest:
        name += f"_{hashlib.sha256(' '.join(rest).encode()).hexdigest()[:6]}"
    elif name and _has_values(Path(root) / plain, {key: override.value() for key, override in told.items()}):
        return plain
    return plain + re.sub(r"[^\w.+-]", "-", name)


def _has_values(folder: Path, values: Mapping[str, Any]) -> bool:
    """Whether the run in a folder was begun with these values."""
    try:
        config = OmegaConf.load(folder / "config.yaml")
    except (OSError, YAMLError):
        return False
    return all(OmegaConf.select(config, key) == value for key, value in values.items())
