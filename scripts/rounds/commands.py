"""The commands that experiments consist of, each as a step with the file that proves it is done."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.commands.path_overrides import path_override, paths_override
from utils.jobs.steps import Step

LAST = "last.ckpt"

ALL_BOXES = ("model.pseudo_label.obj_thresh=0", "model.pseudo_label.cls_thresh=0")
"""Overrides of a quality report over every box of a pseudo dataset."""


def common_overrides(dataset: str, experiment: str, seed: int, overrides: Sequence[str]) -> tuple[str, ...]:
    """Overrides of every command of an experiment.

    Args:
        dataset: a file of ``config/dataset``.
        experiment: a file of ``config/experiment``, with its folder.
        seed: of all trainings.
        overrides: further ones.
    """
    group, _, name = experiment.rpartition("/")
    chosen = f"+experiment/{group}={name}" if group else f"+experiment={name}"
    return (f"dataset={dataset}", chosen, f"reproduce.seed_everything={seed}", *overrides)


@dataclass(frozen=True)
class Commands:
    """Makes steps.

    Args:
        repository: folder of train.py and the other entry points.
        common: overrides of every command: dataset, size of the model, seed.
    """

    repository: Path
    common: tuple[str, ...]

    def _step(self, name: str, program: str, result: Path, needs: Sequence[str], *overrides: str) -> Step:
        command = (sys.executable, str(self.repository / program), *self.common, *overrides)
        return Step(name, command, result, tuple(needs))

    def train(
        self, name: str, folder: Path, overrides: Sequence[str], weight: Path | None = None, needs: Sequence[str] = ()
    ) -> Step:
        """Train; the weights are ``folder/last.ckpt``, and those it starts from are ``weight``."""
        start = [] if weight is None else [path_override("weight", weight)]
        own = (*overrides, path_override("output.dir", folder), *start)
        return self._step(name, "train.py", folder / "done.json", needs, *own)

    def evaluate(
        self, name: str, checkpoint: Path, split: str, figures: Path, overrides: Sequence[str], needs: Sequence[str]
    ) -> Step:
        """Evaluate a detector on val or test; ``figures`` is JSON."""
        what = (path_override("checkpoint", checkpoint), f"use_test_set={str(split == 'test').lower()}")
        own = (*what, path_override("save_json", figures))
        return self._step(name, "val.py", figures, needs, *own, *overrides)

    def label(
        self, name: str, teachers: Sequence[Path], dataset: Path, overrides: Sequence[str], needs: Sequence[str]
    ) -> Step:
        """Write pseudo labels of one teacher, or of several together, as ``dataset/train``."""
        return self._predict(name, dataset, needs, [paths_override("checkpoint", teachers)], overrides)

    def track(self, name: str, source: Path, dataset: Path, overrides: Sequence[str], needs: Sequence[str]) -> Step:
        """Track the labels of the pseudo dataset ``source``, written without tracking; no detector runs."""
        what = ("model.only_load_labels=true", path_override("dataset.path", source))
        return self._predict(name, dataset, needs, what, overrides)

    def _predict(
        self, name: str, dataset: Path, needs: Sequence[str], what: Sequence[str], overrides: Sequence[str]
    ) -> Step:
        own = (*what, path_override("save_dir", dataset / "train"), *overrides)
        return self._step(name, "predict.py", dataset / "summary.json", needs, *own)

    def quality(
        self, name: str, dataset: Path, source: Path, figures: Path, overrides: Sequence[str], needs: Sequence[str]
    ) -> Step:
        """Compare pseudo labels with the labels of ``source`` that are hidden; JSON, and pictures beside it.

        Which of the boxes count, ``overrides`` must say: ``ALL_BOXES``, or least scores.
        """
        what = (path_override("dataset.path", dataset), path_override("source_path", source))
        saved = (path_override("save_json", figures), path_override("save_picture", figures.with_suffix(".png")))
        return self._step(name, "val_dst.py", figures, needs, *what, *saved, *overrides)
