"""Which commands a self-training experiment consists of, and what depends on what."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig

from utils.errors import UserError
from utils.steps import Step

LAST = "last.ckpt"


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
    qualities: dict[str, Path] = field(default_factory=dict)

    def figures(self, arm: Arm, split: str) -> Path:
        """Where val.py leaves an arm's figures on a split."""
        return self.root / "evaluation" / f"{arm.name}_{split}.json"


class _Builder:
    def __init__(self, cfg: DictConfig, repository: Path) -> None:
        self.cfg = cfg
        self.repository = repository
        self.root = Path(cfg.root)
        self.plan = RoundsPlan(self.root, tuple(cfg.evaluation.splits))
        group, _, name = str(cfg.experiment_name).rpartition("/")
        self.common = [
            f"dataset={cfg.dataset_name}",
            f"+experiment/{group}={name}" if group else f"+experiment={name}",
            f"reproduce.seed_everything={cfg.seed}",
            *cfg.overrides,
        ]
        self.data = f"dataset.path={cfg.dataset_path}"
        self.few_labels = [f"dataset.{key}={value}" for key, value in cfg.labels.items() if value is not None]

    def command(self, program: str, *overrides: str) -> tuple[str, ...]:
        return (sys.executable, str(self.repository / program), *self.common, *overrides)

    def train(
        self, name: str, overrides: list[str], settings: DictConfig, teacher: Path | None, needs: tuple[str, ...]
    ) -> Path:
        folder = self.root / name
        start = [f"weight={teacher}"] if teacher is not None else []
        self.plan.steps.append(
            Step(
                name=name,
                command=self.command(
                    "train.py",
                    *overrides,
                    f"training.max_steps={settings.steps}",
                    f"training.learning_rate={settings.learning_rate}",
                    f"output.dir={folder}",
                    *start,
                ),
                result=folder / "done.json",
                needs=needs,
            )
        )
        return folder / LAST

    def evaluate(self, arm: Arm) -> None:
        self.plan.arms.append(arm)
        for split in self.plan.splits:
            figures = self.plan.figures(arm, split)
            self.plan.steps.append(
                Step(
                    name=f"{split}_{arm.name}",
                    command=self.command(
                        "val.py",
                        self.data,
                        f"checkpoint={arm.checkpoint}",
                        f"use_test_set={str(split == 'test').lower()}",
                        f"save_json={figures}",
                        *self.cfg.evaluation.overrides,
                    ),
                    result=figures,
                    needs=(arm.after,),
                )
            )

    def label(self, index: int, teacher: Path, after: str, source: str, few_labels: list[str]) -> Path:
        dataset = self.root / f"round{index}_labels"
        name = f"label{index}"
        self.plan.steps.append(
            Step(
                name=name,
                command=self.command(
                    "predict.py",
                    "model=pseudo_labeler",
                    source,
                    *few_labels,
                    f"checkpoint={teacher}",
                    f"tta.enable={str(bool(self.cfg.labelling.tta)).lower()}",
                    f"save_dir={dataset / 'train'}",
                    *self.cfg.labelling.overrides,
                ),
                result=dataset / "summary.json",
                needs=(after,),
            )
        )
        quality = self.root / "evaluation" / f"labels_round{index}.json"
        picture = quality.with_suffix(".png")
        self.plan.steps.append(
            Step(
                name=f"quality{index}",
                command=self.command(
                    "val_dst.py",
                    "model=pseudo_labeler",
                    f"dataset.path={dataset}",
                    f"source_path={self.cfg.dataset_path}",
                    *self.few_labels,
                    "model.pseudo_label.obj_thresh=0",
                    "model.pseudo_label.cls_thresh=0",
                    f"save_json={quality}",
                    f"save_picture={picture}",
                ),
                result=quality,
                needs=(name,),
            )
        )
        self.plan.qualities[f"round{index}"] = quality
        return dataset


def build_plan(cfg: DictConfig, repository: Path) -> RoundsPlan:
    """Lay out the steps of an experiment.

    Args:
        cfg: ``config/self_train.yaml`` with overrides.
        repository: folder of train.py and the other entry points.

    Raises:
        UserError: unknown splits, no rounds, or weak and semi supervision at once without either.
    """
    if int(cfg.rounds) < 1:
        raise UserError(expected="at least one round", got=str(cfg.rounds), where="rounds", fix="set rounds=1")
    unknown = [split for split in cfg.evaluation.splits if split not in ("val", "test")]
    if unknown or not cfg.evaluation.splits:
        raise UserError(expected="val, test or both", got=str(unknown), where="evaluation.splits", fix="set [val,test]")
    if cfg.labels.ratio is None and cfg.labels.train_ratio is None:
        raise UserError(
            expected="a share of labels for the first teacher",
            got="labels.ratio and labels.train_ratio are both null",
            where="labels",
            fix="set labels.train_ratio=0.1 (semi) or labels.ratio=0.1 (weak)",
        )
    build = _Builder(cfg, repository)
    first, later = int(cfg.supervised.steps), int(cfg.self_training.steps)
    supervised = list(cfg.supervised.overrides)
    few, all_labels = [build.data, *build.few_labels, *supervised], [build.data, *supervised]

    baseline = build.train("baseline", few, cfg.supervised, None, ())
    build.evaluate(Arm("baseline", "few labels", baseline, first, "baseline"))
    oracle = build.train("oracle0", all_labels, cfg.supervised, None, ()) if cfg.oracle else None
    teacher, teacher_step, control = baseline, "baseline", baseline
    source, few_labels = build.data, build.few_labels
    for index in range(1, int(cfg.rounds) + 1):
        total = first + index * later
        dataset = build.label(index, teacher, teacher_step, source, few_labels)
        start = teacher if cfg.self_training.from_teacher else None
        overrides = [f"model={cfg.self_training.model}", f"dataset.path={dataset}", *cfg.self_training.overrides]
        name = f"round{index}"
        trained = build.train(name, overrides, cfg.self_training, start, (teacher_step, f"label{index}"))
        if cfg.control:
            before = "baseline" if index == 1 else f"control{index - 1}"
            control = build.train(f"control{index}", few, cfg.self_training, control, (before,))
            build.evaluate(Arm(f"control{index}", "few labels, trained on instead", control, total, f"control{index}"))
        build.evaluate(Arm(name, "few labels + pseudo labels", trained, total, name))
        if oracle is not None:
            oracle = build.train(f"oracle{index}", all_labels, cfg.self_training, oracle, (f"oracle{index - 1}",))
        teacher, teacher_step = trained, name
        # The next round labels its own labels again: only ground truth (t > 0) is kept from them.
        source, few_labels = f"dataset.path={dataset}", []
    if oracle is not None:
        rounds = int(cfg.rounds)
        build.evaluate(Arm("oracle", "all labels", oracle, first + rounds * later, f"oracle{rounds}"))
    return build.plan
