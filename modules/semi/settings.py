"""Settings of the teacher and of what is done to frames without labels: section ``semi`` of the config."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from models.detection.interface import Detector
from models.registry import spec_of_section
from utils.errors import UserError
from utils.settings import number, section, whole
from utils.thresholds import kinds_of, per_class

KEY = "semi"
_GIVE = f"+{KEY}=mean_teacher"


@dataclass(frozen=True, kw_only=True)
class StrongSettings:
    """``semi.strong`` of the config, where each key is explained: probabilities of a lane, and how much then."""

    dropout_prob: float
    dropout_share: float
    bins_prob: float
    bins_share: float
    polarity_prob: float
    scale_prob: float
    scale_factor: float
    erase_prob: float
    erase_patches: int
    erase_side: float


@dataclass(frozen=True, kw_only=True)
class SemiSettings:
    """``semi`` of the config, where each key is explained.

    Attributes:
        threshold: one number per class, in the order of their ids.
    """

    unlabelled_share: float
    decay: float
    start_step: int
    frames: int
    hflip: bool
    threshold: tuple[float, ...]
    unsure: float
    weight: float
    warmup_steps: int
    weight_by_score: bool
    strong: StrongSettings

    def weight_at(self, step: int) -> float:
        """Weight of the loss without labels after so many optimiser steps; 0 before the teacher starts."""
        if step < self.start_step:
            return 0.0
        return self.weight * min(1.0, (step - self.start_step + 1) / max(self.warmup_steps, 1))


def semi_settings(config: Mapping[str, Any]) -> SemiSettings | None:
    """The settings of a composed configuration, None without ``semi``.

    Args:
        config: as plain containers.

    Raises:
        UserError: a value that cannot be, with the name of its key, or a model that cannot be taught so.
    """
    if KEY not in config:
        return None
    given = _section(config, KEY, [field.name for field in fields(SemiSettings)])
    _check_model(config)
    dataset, steps = config["dataset"], config["training"]["max_steps"]
    threshold = per_class(given["threshold"], kinds_of(dataset), f"{KEY}.threshold", dataset["classes"])
    settings = SemiSettings(
        unlabelled_share=number(given["unlabelled_share"], f"{KEY}.unlabelled_share", most=1),
        decay=number(given["decay"], f"{KEY}.decay", most=1),
        start_step=whole(given["start_step"], f"{KEY}.start_step", 0),
        frames=whole(given["frames"], f"{KEY}.frames"),
        hflip=_switch(given, "hflip"),
        threshold=threshold,
        unsure=number(given["unsure"], f"{KEY}.unsure", most=1),
        weight=number(given["weight"], f"{KEY}.weight"),
        warmup_steps=whole(given["warmup_steps"], f"{KEY}.warmup_steps", 0),
        weight_by_score=_switch(given, "weight_by_score"),
        strong=_strong(config),
    )
    share = settings.unlabelled_share
    _check(0 < share < 1, "a share above 0 and below 1: labelled lanes are needed too", share, "unlabelled_share")
    _check(settings.unsure <= min(threshold), f"at most {KEY}.threshold", settings.unsure, "unsure")
    _check(0 < settings.decay < 1, "a number above 0 and below 1", settings.decay, "decay")
    length = int(dataset["sequence_length"])
    _check(settings.frames <= length, f"at most dataset.sequence_length={length}", settings.frames, "frames")
    _check(settings.start_step < steps, f"fewer than training.max_steps={steps}", settings.start_step, "start_step")
    return settings


def checked_semi(config: Mapping[str, Any]) -> SemiSettings | None:
    """As :func:`semi_settings`, for a training.

    Raises:
        UserError: an average of its own, or a batch size that is searched for, is asked for as well.
    """
    settings, training = semi_settings(config), config["training"]
    for given, key, fix in (
        (training["ema_decay"], "training.ema_decay", f"leave it away: the teacher is the average, by {KEY}.decay"),
        (training["dynamic_batch_size"]["enabled"], "training.dynamic_batch_size.enabled", "set batch_size.train"),
    ):
        if settings is not None and given:
            raise UserError(expected=f"none together with {KEY}", got=str(given), where=key, fix=fix)
    return settings


def check_weighs(network: Detector) -> None:
    """Refuse a detector that lets every frame count alike in its loss: a teacher's labels are to count less at first.

    Raises:
        UserError: it is one.
    """
    if not network.weighs_frames:
        raise UserError(
            expected="a model whose loss weighs frames (FrameBoxes.weight)",
            got=f"'{network.family}', whose loss does not",
            where="model.family",
            fix=f"choose another model, or leave {KEY} away; one of your own says that it does with weighs_frames",
        )


def _strong(config: Mapping[str, Any]) -> StrongSettings:
    parts: dict[str, list[str]] = {}
    for field in fields(StrongSettings):
        part, name = field.name.split("_")
        parts.setdefault(part, []).append(name)
    _section(config, f"{KEY}.strong", list(parts))
    found: dict[str, Any] = {}
    for part, names in parts.items():
        key = f"{KEY}.strong.{part}"
        values = _section(config, key, names)
        for name in names:
            value, where = values[name], f"{key}.{name}"
            most = math.inf if name == "factor" else 1
            found[f"{part}_{name}"] = whole(value, where) if name == "patches" else number(value, where, most=most)
    return StrongSettings(**found)


def _section(config: Mapping[str, Any], key: str, names: Sequence[str]) -> Mapping[str, Any]:
    """The mapping under a key, which has all of these names."""
    found = section(config, key, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(
            expected=f"keys below it: {', '.join(names)}",
            got=f"no {', '.join(missing)}",
            where=key,
            fix=f"take them from the configuration's file: {_GIVE}, and then for example {KEY}.weight=0.5",
        )
    return found


def _switch(given: Mapping[str, Any], name: str) -> bool:
    _check(isinstance(given[name], bool), "true or false", given[name], name)
    return bool(given[name])


def _check(valid: bool, expected: str, got: object, name: str) -> None:
    if not valid:
        raise UserError(expected=expected, got=str(got), where=f"{KEY}.{name}", fix=f"correct {KEY}.{name}")


def _check_model(config: Mapping[str, Any]) -> None:
    """Refuse what finds no boxes, or sees no frames: the one cannot teach, the other has no strong augmentation."""
    spec = spec_of_section(config["model"])
    if (spec.task, spec.payload) != ("detection", "frames"):
        raise UserError(
            expected="a model that finds boxes in frames",
            got=f"'{spec.family}', which is for {spec.task} in {spec.payload}",
            where="model.family",
            fix=f"choose another model, or leave {KEY} away",
        )
