"""What each ingredient of self-training is worth: the steps of an ablation over seeds and supervisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from scripts.ablation.settings import AblationSettings, Supervision
from scripts.rounds.commands import ALL_BOXES, LAST, Commands, common_overrides
from scripts.rounds.plan import SEEDS_APART, Arm
from utils.commands.config_errors import CONFIG_DIR
from utils.jobs.steps import Step

_UNSURE = "tracked, unsure ones too"
_WITH_UNSURE = (_UNSURE, "round 2")
"""Label sets that hold boxes below the thresholds of soft anchors too, which training then ignores."""

_AGREED, _AGREED2, _REPAIRED = "agreed", "agreed twice", "repaired"
_TWO, _THINNED, _PRECISE = "agreed, two teachers", "agreed, thinned", "agreed, precise"

_AGREEMENT = tuple(OmegaConf.select(OmegaConf.load(CONFIG_DIR / "self_train.yaml"), "labelling.options"))
_REPAIR = ("tracker=joint", "smooth=true", "keep_stopped=40")
_PIPELINE: dict[str, tuple[str, ...]] = dict.fromkeys((_AGREED, _AGREED2, _TWO), _AGREEMENT)
_PIPELINE[_THINNED] = (*_AGREEMENT, "tta.drop_events=0.3")
_PRECISION = ("thresholds=precision", "precision_target=0.95", "unsure_precision=0.9")
_PIPELINE[_PRECISE] = (*_AGREEMENT[:2], *(f"model.pseudo_label.{key}" for key in _PRECISION))
_PIPELINE[_REPAIRED] = (*_AGREEMENT, *(f"model.pseudo_label.{key}" for key in _REPAIR))
"""Settings of the label sets that ``scripts/self_train.py`` makes by default, and with one thing more each."""
_TEACHER = ("+semi=mean_teacher", "semi.start_step=0", "semi.decay=0.99", "training.ema_decay=null")


class Recipe(NamedTuple):
    """How an arm is trained.

    Attributes:
        meaning: for the table.
        start: the arm that it goes on from; None: fresh weights.
        labels: set of pseudo labels, made by ``start``; empty: labels of the dataset, all of them where the name says
            oracle.
        model: for training on pseudo labels.
        more: further overrides of the training.
    """

    meaning: str
    start: str | None = "baseline"
    labels: str = ""
    model: str = "rnndet"
    more: tuple[str, ...] = ()


_RECIPES = {
    "baseline": Recipe("few labels", None),
    "control": Recipe("few labels, trained on instead"),
    "vanilla": Recipe("pseudo labels: thresholds only", labels="one view"),
    "tta": Recipe("+ mirrored and reversed views", labels="views"),
    "tracking": Recipe("+ tracking", labels="tracked"),
    "soft": Recipe("+ soft anchors", labels=_UNSURE, model="rnndet-soft"),
    "soft-labels": Recipe("+ soft labels", labels=_UNSURE, model="rnndet-soft"),
    "round2": Recipe("second round of soft anchors", "soft", "round 2", "rnndet-soft"),
    "control2": Recipe("few labels, trained on twice", "control"),
    "agreement": Recipe("views by agreement, as many boxes as in labelled frames", labels=_AGREED),
    "repair": Recipe("+ tracks that repair", labels=_REPAIRED),
    "agreement2": Recipe("second round of agreement", "agreement", _AGREED2),
    "teachers2": Recipe("agreement with a second teacher", labels=_TWO),
    "thinned": Recipe("agreement with a view that lacks events", labels=_THINNED),
    "precise": Recipe("agreement, scores that are right on labelled frames", labels=_PRECISE),
    "teacher": Recipe("few labels, a teacher in every step", more=_TEACHER),
    "oracle0": Recipe("", None),  # where the oracle starts, which shall take as many steps as the others
    "oracle": Recipe("all labels", "oracle0"),
    "oracle2": Recipe("all labels, trained on twice", "oracle"),
}

ARMS = {name: recipe.meaning for name, recipe in _RECIPES.items() if recipe.meaning}
"""Arms in the order of the table, with their meanings."""


ON_REQUEST = ("teachers2", "thinned", "precise")
"""Arms that are trained only when they are named."""


class AblationBuilder:
    """Collects the steps; what several arms or supervisions share is one step.

    Args:
        settings: of all arms.
        root: folder of the ablation.
        repository: folder of train.py.
        splits: that every arm is evaluated on.
    """

    def __init__(self, settings: AblationSettings, root: Path, repository: Path, splits: Sequence[str]) -> None:
        self.settings, self.root, self.repository, self.splits = settings, root, repository, tuple(splits)
        self._steps: dict[str, Step] = {}
        self.data = f"dataset.path={settings.dataset_path}"

    @property
    def steps(self) -> list[Step]:
        """All steps, those that are needed first."""
        return list(self._steps.values())

    def add(self, step: Step) -> str:
        """Add a step unless it is there; returns its name."""
        self._steps.setdefault(step.name, step)
        return step.name

    def weights(self, name: str) -> Path:
        """Of the training of this name."""
        return self.root / name / LAST


def build_part(
    build: AblationBuilder, supervision: Supervision, seed: int, arms: Collection[str], curve: Sequence[int] = ()
) -> Part:
    """Add the steps of one supervision and seed.

    Args:
        build: takes them.
        supervision: which labels may be seen.
        seed: of all trainings.
        arms: names of ``ARMS``; the baseline is always there.
        curve: step counts at which a baseline of its own is trained, to see whether it still rises.
    """
    part = Part(build, supervision, seed)
    for arm in (name for name in ARMS if name in arms or name == "baseline"):
        step = part.training(arm)
        figures = {split: part.evaluation(step, split) for split in build.splits}
        part.arms[arm] = (Arm(arm, ARMS[arm], build.weights(step), part.steps_of(arm), step), figures)
    for count in curve:
        first = count == build.settings.steps
        part.curve[count] = part.evaluation(part.training("baseline", None if first else count), "val")
    return part


class Part:
    """The arms of one supervision and seed; adds their steps, each with those that it needs before it.

    Attributes:
        arms: by name, with the files of their figures by split.
        qualities: files of the figures of pseudo labels, by their set.
        curve: files of the figures of baselines, by their steps.
    """

    def __init__(self, build: AblationBuilder, supervision: Supervision, seed: int) -> None:
        self.build, self.supervision, self.seed = build, supervision, seed
        self.arms: dict[str, tuple[Arm, dict[str, Path]]] = {}
        self.qualities: dict[str, Path] = {}
        self.curve: dict[int, Path] = {}
        self.prefix = f"{supervision.name}-s{seed}"
        self.few = [build.data, supervision.override]
        own = build.settings
        self.commands = Commands(build.repository, common_overrides(own.dataset, own.experiment, seed, own.overrides))

    def steps_of(self, arm: str) -> int:
        """Optimiser steps in all."""
        start, own = _RECIPES[arm].start, self.build.settings
        return own.steps if start is None else self.steps_of(start) + own.more_steps

    def training(self, arm: str, steps: int | None = None) -> str:
        """Add the training of an arm, or of its curve with other steps; returns its name."""
        recipe, own = _RECIPES[arm], self.build.settings
        overrides, needs = self._labels_of(arm)
        if recipe.labels:
            overrides = [f"model={recipe.model}", *overrides]
        if arm == "soft-labels":
            soft = {"soft_label_weight": own.soft_label_weight, "temperature": own.temperature}
            overrides += ["model.head.use_soft_labels=true", *(f"model.head.{key}={soft[key]}" for key in soft)]
        overrides += recipe.more
        count, rate, weights = own.steps, own.learning_rate, None
        if recipe.start is not None:
            start = self.training(recipe.start)
            count, rate = own.more_steps, own.more_learning_rate
            weights, needs = self.build.weights(start), [*needs, start]
        schedule = [f"training.max_steps={steps or count}", f"training.learning_rate={rate}"]
        whose = f"all-s{self.seed}" if arm.startswith("oracle") else self.prefix  # the oracle knows no supervision
        name = f"{whose}-{arm}" if steps is None else f"{whose}-curve{steps}"
        return self.build.add(
            self.commands.train(name, self.build.root / name, [*overrides, *schedule], weights, needs)
        )

    def evaluation(self, name: str, split: str) -> Path:
        """Add the evaluation of the training of this name; returns the file of its figures."""
        figures = self.build.root / "evaluation" / f"{name}_{split}.json"
        weights, data = self.build.weights(name), [self.build.data]
        self.build.add(self.commands.evaluate(f"{split}-{name}", weights, split, figures, data, [name]))
        return figures

    def _labels_of(self, arm: str) -> tuple[list[str], list[str]]:
        """Overrides that choose the labels an arm is trained on, and the steps that make them."""
        recipe = _RECIPES[arm]
        if recipe.labels and recipe.start:
            dataset, step = self._label_set(recipe.labels, recipe.start)
            return [f"dataset.path={dataset}"], [step]
        return ([self.build.data] if arm.startswith("oracle") else self.few), []

    def _label_set(self, labels: str, teacher: str) -> tuple[Path, str]:
        """Folder of a set of pseudo labels, and the step that makes it."""
        build, own = self.build, self.build.settings
        name = f"{self.prefix}-labels_{labels.replace(',', '').replace(' ', '_')}"
        dataset = build.root / name
        if labels == "tracked":  # the same boxes as of all views, tracked: no detector has to run again
            views, needed = self._label_set("views", teacher)
            step = self.commands.track(name, views, dataset, (), [needed])
        else:
            overrides, needs = self._labels_of(teacher)
            trained = [self.training(teacher)]
            if labels == _TWO:
                trained.append(Part(build, self.supervision, self.seed + SEEDS_APART).training(teacher))
            kept = ["model.pseudo_label.min_track_len=0", "model.pseudo_label.inpaint=false"]
            if labels in _WITH_UNSURE:
                kept = _least_scores(own.unsure_thresholds)
            if labels in _PIPELINE:
                kept = list(_PIPELINE[labels])
            chosen = [*overrides, f"tta.enable={str(labels != 'one view').lower()}", *kept]
            weights = [build.weights(each) for each in trained]
            step = self.commands.label(name, weights, dataset, chosen, [*trained, *needs])
        build.add(step)
        figures = build.root / "evaluation" / f"{name}.json"
        sure = _least_scores(own.ignore_thresholds) if labels in _WITH_UNSURE else []
        few, source = [self.few[1], *(sure or ALL_BOXES)], Path(own.dataset_path)
        build.add(self.commands.quality(f"quality-{name}", dataset, source, figures, few, [name]))
        self.qualities[labels] = figures
        return dataset, name


def _least_scores(limits: str) -> list[str]:
    return [f"model.pseudo_label.{score}_thresh={limits}" for score in ("obj", "cls")] if limits else []
