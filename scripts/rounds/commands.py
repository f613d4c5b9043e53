"""The commands that experiments consist of, each as a step with the file that proves it is done."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.jobs.steps import Step

LAST = "last.ckpt"

ALL_BOXES = ("model.pseudo_label.obj_thresh=0", "model.pseudo_label.cls_thresh=0")
"""Overrides of a quality report over every box of a pseudo dataset."""


@dataclass(frozen=True)
class Commands:
    """Makes steps.

    Args:
        repository: folder of train.py and the other entry points.
        common: overrides of every command: dataset, size of the model, seed.
    """

    repository: Path
    common: tuple[str, ...]

    def _command(self, program: str, *overrides: str) -> tuple[str, ...]:
        return (sys.executable, str(self.repository / program), *self.common, *overrides)

    def train(
        self, name: str, folder: Path, overrides: Sequence[str], weight: Path | None = None, needs: Sequence[str] = ()
    ) -> Step:
        """Train; the weights are ``folder/last.ckpt``, and those it starts from are ``weight``."""
        start = [] if weight is None else [f"weight={weight}"]
        command = self._command("train.py", *overrides, f"output.dir={folder}", *start)
        return Step(name, command, folder / "done.json", tuple(needs))

    def evaluate(
        self,
        name: str,
        checkpoint: Path,
        split: str,
        figures: Path,
        overrides: Sequence[str] = (),
        needs: Sequence[str] = (),
    ) -> Step:
        """Evaluate a detector on val or test; ``figures`` is JSON."""
        command = self._command(
            "val.py",
            f"checkpoint={checkpoint}",
            f"use_test_set={str(split == 'test').lower()}",
            f"save_json={figures}",
            *overrides,
        )
        return Step(name, command, figures, tuple(needs))

    def label(
        self, name: str, teacher: Path, dataset: Path, overrides: Sequence[str] = (), needs: Sequence[str] = ()
    ) -> Step:
        """Write pseudo labels of a teacher as ``dataset/train``."""
        command = self._command("predict.py", f"checkpoint={teacher}", f"save_dir={dataset / 'train'}", *overrides)
        return Step(name, command, dataset / "summary.json", tuple(needs))

    def track(
        self, name: str, source: Path, dataset: Path, overrides: Sequence[str] = (), needs: Sequence[str] = ()
    ) -> Step:
        """Track the labels of the pseudo dataset ``source``, written without tracking; no detector runs."""
        command = self._command(
            "predict.py",
            "model.only_load_labels=true",
            f"dataset.path={source}",
            f"save_dir={dataset / 'train'}",
            *overrides,
        )
        return Step(name, command, dataset / "summary.json", tuple(needs))

    def quality(
        self, name: str, dataset: Path, source: Path, figures: Path, overrides: Sequence[str], needs: Sequence[str]
    ) -> Step:
        """Compare pseudo labels with the labels of ``source`` that are hidden; JSON, and pictures beside it.

        Which of the boxes count, ``overrides`` must say: ``ALL_BOXES``, or least scores.
        """
        command = self._command(
            "val_dst.py",
            f"dataset.path={dataset}",
            f"source_path={source}",
            f"save_json={figures}",
            f"save_picture={figures.with_suffix('.png')}",
            *overrides,
        )
        return Step(name, command, figures, tuple(needs))
