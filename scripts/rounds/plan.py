"""Which commands a self-training experiment consists of, and what depends on what."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scripts.rounds.commands import ALL_BOXES, LAST, Commands, common_overrides
from scripts.rounds.settings import ExperimentSettings, TeacherSettings
from scripts.rounds.stopping import decide, decide_on_val
from utils.commands.path_overrides import path_override
from utils.jobs.steps import Step

log = logging.getLogger(__name__)

SEEDS_APART = 1000
"""How far the seeds of first teachers lie apart."""

SOFT = "+model/head=soft"
"""Override of a training on pseudo labels: uncertain ones are neither object nor background."""


@dataclass(frozen=True)
class Arm:
    """A trained detector that is evaluated.

    Args:
        name: short, unique, e.g. ``round1``.
        meaning: one line for the table.
        checkpoint: its weights.
        steps: optimiser steps spent on it in all, teachers included.
        after: the step that trains it.
    """

    name: str
    meaning: str
    checkpoint: Path
    steps: int
    after: str


@dataclass
class RoundsPlan:
    """All steps, the arms to compare, and where their figures are."""

    root: Path
    splits: tuple[str, ...]
    steps: list[Step] = field(default_factory=list)
    arms: list[Arm] = field(default_factory=list)
    labels: dict[str, Path] = field(default_factory=dict)
    qualities: dict[str, Path] = field(default_factory=dict)
    decisions: dict[str, Path] = field(default_factory=dict)

    def figures(self, arm: Arm, split: str) -> Path:
        """Where val.py leaves an arm's figures on a split."""
        return self.root / "evaluation" / f"{arm.name}_{split}.json"


class _Builder:
    def __init__(self, cfg: ExperimentSettings, repository: Path, model: Sequence[str], search: Sequence[str]) -> None:
        self.cfg = cfg
        self.model = list(model)
        own = cfg.self_training.model
        self.student = [*model, SOFT] if cfg.self_training.soft_anchors else list(model)
        if own is not None:
            self.student = [f"model={own}", *(text for text in model if not text.startswith("model="))]
        self.root = Path(cfg.root)
        self.plan = RoundsPlan(self.root, tuple(cfg.evaluation.splits))
        self.repository, self.search = repository, tuple(search)
        self.commands = self.commands_of(cfg.seed)
        self.data = path_override("dataset.path", cfg.dataset_path)
        self.few_labels = cfg.few_labels
        self.measured = bool(self.few_labels)
        self.average = [] if cfg.ema_decay is None else [f"training.ema_decay={cfg.ema_decay}"]
        self.stops: tuple[Path, ...] = ()

    def commands_of(self, seed: int) -> Commands:
        """Commands of another seed."""
        cfg = self.cfg
        common = common_overrides(cfg.dataset_name, str(cfg.experiment_name), seed, cfg.overrides)
        return Commands(self.repository, (*self.search, *common))

    def add(self, step: Step, needs: Sequence[str] = ()) -> None:
        """Append a step of the round under way, which the rounds before may have made unnecessary."""
        self.plan.steps.append(replace(step, needs=(*step.needs, *needs), unless=self.stops))

    def train(
        self,
        name: str,
        overrides: list[str],
        settings: TeacherSettings,
        teacher: Path | None,
        needs: Sequence[str],
        commands: Commands | None = None,
    ) -> Path:
        commands = commands or self.commands
        folder = self.root / name
        schedule = [f"training.max_steps={settings.steps}", f"training.learning_rate={settings.learning_rate}"]
        self.add(commands.train(name, folder, [*overrides, *schedule, *self.average], teacher, needs))
        return folder / LAST

    def first_teachers(self, overrides: list[str]) -> dict[str, Path]:
        """Detectors trained on the few labels with a seed each, by their steps."""
        found: dict[str, Path] = {}
        for number in range(int(self.cfg.teachers)):
            name = f"baseline_{chr(ord('a') + number)}" if number else "baseline"
            commands = self.commands_of(self.cfg.seed + SEEDS_APART * number)
            found[name] = self.train(name, overrides, self.cfg.supervised, None, (), commands)
            meaning = "few labels, another seed" if number else "few labels"
            self.evaluate(Arm(name, meaning, found[name], int(self.cfg.supervised.steps), name))
        return found

    def evaluate(self, arm: Arm, model: list[str] | None = None) -> None:
        self.plan.arms.append(arm)
        more = [*(model or self.model), self.data, *self.cfg.evaluation.overrides]
        for split in self.plan.splits:
            figures = self.plan.figures(arm, split)
            name = f"{split}_{arm.name}"
            self.add(self.commands.evaluate(name, arm.checkpoint, split, figures, more, [arm.after]))

    def label(self, index: int, teachers: Mapping[str, Path], source: list[str], needs: Sequence[str]) -> Path:
        dataset = self.root / f"round{index}_labels"
        name, views = f"label{index}", self.measured and bool(self.cfg.labelling.keep_views)
        overrides = [
            *source,
            f"tta.enable={str(bool(self.cfg.labelling.tta)).lower()}",
            f"model.pseudo_label.keep_views={str(views).lower()}",
            *self.cfg.labelling.options,
            *self.cfg.labelling.overrides,
        ]
        self.add(self.commands.label(name, list(teachers.values()), dataset, overrides, [*teachers, *needs]))
        self.plan.labels[f"round{index}"] = dataset / "summary.json"
        if self.measured:
            figures = self.root / "evaluation" / f"labels_round{index}.json"
            real = Path(self.cfg.dataset_path)
            few = [*self.model, *self.few_labels, *ALL_BOXES]
            self.add(self.commands.quality(f"quality{index}", dataset, real, figures, few, [name]))
            self.plan.qualities[f"round{index}"] = figures
        return dataset

    def decide(self, index: int) -> list[str]:
        """Let the round depend on the precision of its labels; returns what its trainings have to wait for."""
        if index == 1 or not (self.measured and self.cfg.stops_when == "precision"):
            return []
        before, now = (self.plan.qualities[f"round{number}"] for number in (index - 1, index))
        name, *places = self._decision(index)
        self.add(decide(name, before, now, *places), [f"quality{index - 1}", f"quality{index}"])
        return self._decided(index, name, *places)

    def decide_on_val(self, index: int) -> list[str]:
        """Let the round depend on the student of the round before, likewise; even its labels wait for it."""
        if index == 1 or self.cfg.stops_when != "val":
            return []
        student, teacher = f"round{index - 1}", f"round{index - 2}" if index > 2 else "baseline"
        others = [teacher, *([f"control{index - 1}"] if self.cfg.control else [])]
        figures = {arm.name: self.plan.figures(arm, "val") for arm in self.plan.arms}
        name, *places = self._decision(index)
        step = decide_on_val(name, [figures[other] for other in others], figures[student], *places)
        self.add(step, [f"val_{arm}" for arm in (*others, student)])
        return self._decided(index, name, *places)

    def _decision(self, index: int) -> tuple[str, Path, Path]:
        """Name of the step that decides over a round, and the files that it leaves."""
        decision = self.root / "evaluation" / f"decision_round{index}.json"
        return f"decide{index}", decision, self.root / f"no_round{index}.json"

    def _decided(self, index: int, name: str, decision: Path, marker: Path) -> list[str]:
        self.plan.decisions[f"round{index}"] = decision
        self.stops = (*self.stops, marker)
        return [name]


def build_plan(
    cfg: ExperimentSettings, repository: Path, model: Sequence[str] = (), search: Sequence[str] = ()
) -> RoundsPlan:
    """Lay out the steps of an experiment.

    Args:
        cfg: its settings.
        repository: folder of train.py and the other entry points.
        model: overrides that choose the network.
        search: overrides that say where further files of the configuration are.
    """
    build = _Builder(cfg, repository, model, search)
    if not build.measured:
        log.warning(
            "no labels are hidden, so nothing tells how good pseudo labels are: their quality is not measured%s",
            ", and stop_when_precision_falls does nothing" if cfg.stops_when == "precision" else "",
        )
    first, later, rounds = int(cfg.supervised.steps), int(cfg.self_training.steps), int(cfg.rounds)
    supervised = [*build.model, *cfg.supervised.overrides]
    few, all_labels = [build.data, *build.few_labels, *supervised], [build.data, *supervised]

    teachers = build.first_teachers(few)
    oracle = build.train("oracle0", all_labels, cfg.supervised, None, ()) if cfg.oracle else None
    teacher_step, teacher = next(iter(teachers.items()))
    control = teacher
    source, network = [*build.model, build.data, *build.few_labels], build.student
    for index in range(1, rounds + 1):
        total, name = first + index * later, f"round{index}"
        decision = build.decide_on_val(index)
        dataset = build.label(index, teachers, source, decision)
        decision += build.decide(index)
        start = teacher if cfg.self_training.from_teacher else None
        overrides = [*network, path_override("dataset.path", dataset), *cfg.self_training.overrides]
        trained = build.train(name, overrides, cfg.self_training, start, (teacher_step, f"label{index}", *decision))
        if cfg.control:
            before = "baseline" if index == 1 else f"control{index - 1}"
            control = build.train(f"control{index}", few, cfg.self_training, control, (before, *decision))
            build.evaluate(Arm(f"control{index}", "few labels, trained on instead", control, total, f"control{index}"))
        build.evaluate(Arm(name, "few labels + pseudo labels", trained, total, name), network)
        if oracle is not None:
            needs = (f"oracle{index - 1}", *decision)
            oracle = build.train(f"oracle{index}", all_labels, cfg.self_training, oracle, needs)
            if index == rounds or cfg.stops_when != "never":  # which round is the last one is not known yet
                arm = "oracle" if index == rounds else f"oracle{index}"
                build.evaluate(Arm(arm, "all labels", oracle, total, f"oracle{index}"))
        teacher, teacher_step, teachers = trained, name, {name: trained}
        # The next round labels its own labels again: only ground truth (t > 0) is kept from them.
        source = [*network, path_override("dataset.path", dataset)]
    return build.plan
