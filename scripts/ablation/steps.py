"""What each ingredient of self-training is worth: the steps of an ablation over seeds and supervisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scripts.ablation.settings import AblationSettings, Supervision
from scripts.rounds.commands import ALL_BOXES, LAST, Commands
from scripts.rounds.plan import Arm
from utils.jobs.steps import Step

ARMS = {
    "baseline": "few labels",
    "control": "few labels, trained on instead",
    "vanilla": "pseudo labels: thresholds only",
    "tta": "+ mirrored and reversed views",
    "tracking": "+ tracking",
    "soft": "+ soft anchors",
    "soft-labels": "+ soft labels",
    "round2": "second round of soft anchors",
    "control2": "few labels, trained on twice",
    "oracle": "all labels",
    "oracle2": "all labels, trained on twice",
}
"""Arms in the order of the table, with their meanings."""

LABEL_SETS = {
    "vanilla": "one view",
    "tta": "views",
    "tracking": "tracked",
    "soft": "tracked, unsure ones too",
    "soft-labels": "tracked, unsure ones too",
}
"""Which pseudo labels an arm is trained on."""

_UNSURE = (LABEL_SETS["soft"], "round 2")
"""Label sets that hold boxes below the thresholds of soft anchors too, which training then ignores."""

_MODELS = {"soft": ("rnndet-soft",), "soft-labels": ("rnndet-soft", "model.head.use_soft_labels=true")}


@dataclass
class Part:
    """The arms of one supervision and seed, and where their figures are."""

    supervision: Supervision
    seed: int
    arms: dict[str, tuple[Arm, dict[str, Path]]] = field(default_factory=dict)
    qualities: dict[str, Path] = field(default_factory=dict)
    curve: dict[int, Path] = field(default_factory=dict)


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

    def commands(self, seed: int) -> Commands:
        """The commands with a seed."""
        group, _, name = self.settings.experiment.rpartition("/")
        experiment = f"+experiment/{group}={name}" if group else f"+experiment={name}"
        seeded = f"reproduce.seed_everything={seed}"
        common = (f"dataset={self.settings.dataset}", experiment, seeded, *self.settings.overrides)
        return Commands(self.repository, common)

    def add(self, step: Step) -> str:
        """Add a step unless it is there; returns its name."""
        self._steps.setdefault(step.name, step)
        return step.name

    def train(
        self, name: str, seed: int, overrides: Sequence[str], start: str | None, needs: Sequence[str], steps: int = 0
    ) -> str:
        """Train in ``root/name``; from the weights of the step ``start`` with the further schedule, if it is given."""
        own = self.settings
        count, rate = (own.steps, own.learning_rate) if start is None else (own.more_steps, own.more_learning_rate)
        schedule = [f"training.max_steps={steps or count}", f"training.learning_rate={rate}"]
        weight = None if start is None else self.weights(start)
        needed = [*needs, *([] if start is None or start in needs else [start])]
        return self.add(self.commands(seed).train(name, self.root / name, [*overrides, *schedule], weight, needed))

    def weights(self, name: str) -> Path:
        """Of the training of this name."""
        return self.root / name / LAST

    def evaluate(self, name: str, seed: int, split: str) -> Path:
        """Evaluate the training of this name; returns the file of its figures."""
        figures = self.root / "evaluation" / f"{name}_{split}.json"
        step = f"{split}-{name}"
        self.add(self.commands(seed).evaluate(step, self.weights(name), split, figures, [self.data], [name]))
        return figures


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
    part = Part(supervision, seed)
    prefix, few = f"{supervision.name}-s{seed}", [build.data, supervision.override]
    settings = build.settings
    first, once, twice = settings.steps, settings.steps + settings.more_steps, settings.steps + 2 * settings.more_steps

    def keep(arm: str, step: str, total: int) -> None:
        figures = {split: build.evaluate(step, seed, split) for split in build.splits}
        part.arms[arm] = (Arm(arm, ARMS[arm], build.weights(step), total, step), figures)

    baseline = build.train(f"{prefix}-baseline", seed, few, None, ())
    keep("baseline", baseline, first)
    for count in curve:
        point = baseline if count == first else f"{prefix}-curve{count}"
        build.train(point, seed, few, None, (), steps=count)
        part.curve[count] = build.evaluate(point, seed, "val")
    if "control" in arms:
        control = build.train(f"{prefix}-control", seed, few, baseline, ())
        keep("control", control, once)
    labels = _Labels(build, part, prefix, few)
    for arm in (name for name in ARMS if name in arms and name in LABEL_SETS):
        trained = build.train(f"{prefix}-{arm}", seed, *labels.training(arm, LABEL_SETS[arm], baseline))
        keep(arm, trained, once)
    if "round2" in arms:
        overrides, _, needs = labels.training("soft", LABEL_SETS["soft"], baseline)
        teacher = build.train(f"{prefix}-soft", seed, overrides, baseline, needs)
        trained = build.train(f"{prefix}-round2", seed, *labels.training("soft", "round 2", teacher))
        keep("round2", trained, twice)
    if "control2" in arms:
        control = build.train(f"{prefix}-control", seed, few, baseline, ())
        keep("control2", build.train(f"{prefix}-control2", seed, few, control, ()), twice)
    if "oracle" in arms or "oracle2" in arms:  # the same for every supervision
        oracle = build.train(f"all-s{seed}-oracle0", seed, [build.data], None, ())
        oracle = build.train(f"all-s{seed}-oracle", seed, [build.data], oracle, ())
        if "oracle" in arms:
            keep("oracle", oracle, once)
        if "oracle2" in arms:
            keep("oracle2", build.train(f"all-s{seed}-oracle2", seed, [build.data], oracle, ()), twice)
    return part


class _Labels:
    """The sets of pseudo labels of one supervision and seed, each made when an arm first asks for it."""

    def __init__(self, build: AblationBuilder, part: Part, prefix: str, few: list[str]) -> None:
        self.build, self.part, self.prefix, self.few = build, part, prefix, few
        self.commands = build.commands(part.seed)

    def training(self, arm: str, labels: str, teacher: str) -> tuple[list[str], str, list[str]]:
        """Overrides of a training on these labels, the training it starts from, and the steps it needs."""
        dataset, step = self.made(labels, teacher)
        model, *more = _MODELS.get(arm, ("rnndet",))
        if arm == "soft-labels":
            own = self.build.settings
            weight = f"model.head.soft_label_weight={own.soft_label_weight}"
            more += [weight, f"model.head.temperature={own.temperature}"]
        return [f"model={model}", f"dataset.path={dataset}", *more], teacher, [step]

    def made(self, labels: str, teacher: str) -> tuple[Path, str]:
        """Folder of a set, and the step that makes it."""
        name = f"{self.prefix}-labels_{labels.replace(',', '').replace(' ', '_')}"
        dataset, source = self.build.root / name, Path(self.build.settings.dataset_path)
        if labels == "tracked":  # the same boxes as of all views, tracked: no detector has to run again
            views, needed = self.made("views", teacher)
            step = self.commands.track(name, views, dataset, (), [needed])
        else:
            needs, overrides = [teacher], self.few
            if labels == "round 2":
                first, needed = self.made(LABEL_SETS["soft"], f"{self.prefix}-baseline")
                needs, overrides = [teacher, needed], [f"dataset.path={first}"]
            chosen = [f"tta.enable={str(labels != 'one view').lower()}", *self._choice(labels)]
            step = self.commands.label(name, self.build.weights(teacher), dataset, [*overrides, *chosen], needs)
        self.build.add(step)
        figures = self.build.root / "evaluation" / f"{name}.json"
        sure = self._least_scores(self.build.settings.ignore_thresholds) if labels in _UNSURE else ()
        few = [self.few[1], *(sure or ALL_BOXES)]
        self.build.add(self.commands.quality(f"quality-{name}", dataset, source, figures, few, [name]))
        self.part.qualities[labels] = figures
        return dataset, name

    def _choice(self, labels: str) -> Sequence[str]:
        """Which boxes of the detector are kept."""
        if labels in _UNSURE:
            return self._least_scores(self.build.settings.unsure_thresholds)
        return ["model.pseudo_label.min_track_len=0", "model.pseudo_label.inpaint=false"]

    @staticmethod
    def _least_scores(limits: str) -> Sequence[str]:
        return [f"model.pseudo_label.{score}_thresh={limits}" for score in ("obj", "cls")] if limits else []
