"""What the command line says of a run, for the name of its folder: no two runs of a study share one."""

from __future__ import annotations

import hashlib
import re

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

_TOLD = {
    "training.learning_rate": "lr",
    "dataset.ratio": "ratio",
    "dataset.train_ratio": "train",
    "reproduce.seed_everything": "seed",
}
_NAMED = ("model", "dataset", "batch_size.train", "training.max_steps")
_ELSEWHERE = re.compile(r"(output|hardware|logging|wandb|checkpointing|resume|hydra)\b")


def given_settings() -> str:
    """``_lr0.001_seed7`` for what the command gives of rate, labels and seed; nothing for what it leaves as it is.

    A sweep appends a short hash of the rest that it gives, beside what names tell already and where a run is kept.
    """
    if not HydraConfig.initialized():
        return ""
    chosen = HydraConfig.get()
    values: dict[str, str] = {}
    for text in chosen.overrides.task:
        override = OverridesParser.create().parse_override(text)
        values[override.key_or_group] = "" if override.is_delete() else override.get_value_element_as_str()
    name = "".join(f"_{short}{values[key]}" for key, short in _TOLD.items() if key in values)
    rest = [
        f"{key}={value}"
        for key, value in sorted(values.items())
        if key not in (*_TOLD, *_NAMED) and not _ELSEWHERE.match(key)
    ]
    if chosen.mode == RunMode.MULTIRUN and rest:
        name += f"_{hashlib.sha256(' '.join(rest).encode()).hexdigest()[:6]}"
    return re.sub(r"[^\w.+-]", "-", name)
