"""What an experiment of self-training is; others are refused in its folder, and mistakes show before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.compose import compose
from modules.labelling.config import pseudo_labeler_config
from utils.atomic import write_json
from utils.errors import UserError
from utils.jobs.steps import Step
from utils.json_files import read_json
from utils.settings import choice, settings_of, whole
from utils.thresholds import check_thresholds

SETTINGS = "settings.json"

MOST_TEACHERS = 26
"""First teachers have a letter each."""


@dataclass(frozen=True)
class TeacherSettings:
    """``supervised`` of the config: how a detector is trained on labels."""

    steps: int
    learning_rate: float
    overrides: Sequence[str]


@dataclass(frozen=True)
class RoundSettings(TeacherSettings):
    """``self_training`` of the config: how a detector is trained on pseudo labels."""

    from_teacher: bool
    model: str | None
    soft_anchors: bool


@dataclass(frozen=True)
class LabellingSettings:
    """``labelling`` of the config."""

    tta: bool
    keep_views: bool
    options: Sequence[str]
    overrides: Sequence[str]


@dataclass(frozen=True)
class EvaluationSettings:
    """``evaluation`` of the config.

    Raises:
        UserError: an unknown split, or none.
    """

    splits: Sequence[str]
    overrides: Sequence[str]

    def __post_init__(self) -> None:
        unknown = [split for split in self.splits if split not in ("val", "test")]
        if unknown or not self.splits:
            raise UserError(
                expected="val, test or both", got=str(unknown), where="evaluation.splits", fix="set [val,test]"
            )


@dataclass(frozen=True)
class ExperimentSettings:
    """``config/self_train.yaml``, where each key is explained; without what concerns the machine.

    Raises:
        UserError: no rounds, no teachers, or neither weak nor semi supervision with an oracle.
    """

    root: str
    dataset_name: str
    dataset_path: str
    experiment_name: str
    overrides: Sequence[str]
    seed: int
    rounds: int
    stop_when: str
    stop_when_precision_falls: bool
    ema_decay: float | None
    teachers: int
    oracle: bool
    control: bool
    labels: Mapping[str, float | None]
    supervised: TeacherSettings
    self_training: RoundSettings
    labelling: LabellingSettings
    evaluation: EvaluationSettings

    def __post_init__(self) -> None:
        whole(self.rounds, "rounds")
        if whole(self.teachers, "teachers") > MOST_TEACHERS:
            raise UserError(
                expected=f"1 to {MOST_TEACHERS} first teachers",
                got=str(self.teachers),
                where="teachers",
                fix="set teachers=1, or 2 for two that label together",
            )
        choice(self.stop_when, ("precision", "val", "never"), "stop_when")
        if self.stop_when == "val" and "val" not in self.evaluation.splits:
            raise UserError(
                expected="val among the splits that are evaluated",
                got=str(list(self.evaluation.splits)),
                where="evaluation.splits",
                fix="add val, or set stop_when=never",
            )
        if self.oracle and not self.few_labels:
            raise UserError(
                expected="a share of labels for the first teacher",
                got="labels.ratio and labels.train_ratio are both null",
                where="labels",
                fix="set labels.train_ratio=0.1 (semi) or labels.ratio=0.1 (weak); if the dataset itself has labels on "
                "few frames only, and all of them are to be used: oracle=false",
            )

    @property
    def stops_when(self) -> str:
        """The rule that ends the rounds: precision, val or never."""
        switched_off = self.stop_when == "precision" and not self.stop_when_precision_falls
        return "never" if switched_off else self.stop_when

    @property
    def few_labels(self) -> list[str]:
        """Overrides that hide labels from the first teacher."""
        return [f"dataset.{key}={value}" for key, value in self.labels.items() if value is not None]


def experiment_settings(config: Mapping[str, Any]) -> ExperimentSettings:
    """The settings of a composed ``config/self_train.yaml``, as plain containers.

    Raises:
        UserError: a value that cannot be.
    """
    parts = {
        "supervised": TeacherSettings,
        "self_training": RoundSettings,
        "labelling": LabellingSettings,
        "evaluation": EvaluationSettings,
    }
    return settings_of(
        ExperimentSettings,
        {"all": config},
        "all",
        **{key: settings_of(kind, config, key) for key, kind in parts.items()},
    )


def as_begun(root: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with what the folder was begun with, where they ask for nothing of their own.

    Folders of the first release name the students' model; those of before ``labelling.options`` label as LEOD does.
    """
    path = root / SETTINGS
    if not path.exists():
        return settings
    before, own = _read(path), settings["self_training"]
    model = own["model"] or before.get("self_training", {}).get("model")
    changed = {**settings, "self_training": {**own, "model": model}}
    if "labelling" in settings and "options" not in before.get("labelling", {}):
        changed["labelling"] = {**settings["labelling"], **_AS_LEOD["labelling"]}
        changed["self_training"] |= _AS_LEOD["self_training"]
    return changed


_AS_LEOD = {"labelling": {"options": []}, "self_training": {"soft_anchors": True}}
"""What config/pipeline/leod.yaml says, and what held before these keys were."""


BEFORE = {"teachers": 1, "stop_when": "precision"}
"""What held before these keys were."""


def _read(path: Path) -> dict[str, Any]:
    return read_json(
        path,
        {"self_training?": {}},
        expected="the settings this experiment was started with",
        fix="choose another root folder; or, if the settings are the same as then, remove this file",
    )


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
        before = _read(path)
        for part, keys in _AS_LEOD.items():
            if part in before:
                before[part] = {**keys, **before[part]}
        now = json.loads(json.dumps(settings))
        before = {**{key: value for key, value in BEFORE.items() if key in now}, **before}
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
        steps: those that are done, and those of programs without a config, are left out.
        root: folder of the experiment; commands that differ in what lies there only are composed once.

    Raises:
        UserError: one does not compose, or its thresholds or settings of labelling cannot be.
    """
    seen: set[tuple[str, ...]] = set()
    for step in steps:
        name, overrides = Path(step.command[1]).stem, step.command[2:]
        kind = (name, *(text for text in overrides if str(root) not in text and not text.startswith(_CHECKED)))
        if name not in _COMPOSED or kind in seen or step.result.exists():
            continue
        seen.add(kind)
        config = compose(overrides, name)
        check_thresholds(config)
        if name == "predict":
            pseudo_labeler_config(config)


_COMPOSED = ("train", "predict", "val", "val_dst")
_CHECKED = ("training.max_steps=", "training.learning_rate=", "use_test_set=")
"""Overrides by which commands of one kind differ, of settings that are checked by themselves."""
