"""What the arms of an ablation share, and which labels they may see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.commands.path_overrides import path_override
from utils.errors import UserError


@dataclass(frozen=True)
class AblationSettings:
    """What all arms share; whatever is in here changes results.

    Args:
        dataset: a file of ``config/dataset``.
        dataset_path: folder with train, val and test.
        experiment: a file of ``config/experiment``.
        steps: optimiser steps of the baseline.
        more_steps: further steps of every other arm, and again of the second round's.
        learning_rate: highest of the first cycle.
        more_learning_rate: highest of the further cycles.
        overrides: of every command.
        unsure_thresholds: scores from which boxes are kept where soft anchors ignore the unsure ones, as an override's
            value (``0.4`` or ``[0.4,0.3]``); empty: the same as of all pseudo labels.
        ignore_thresholds: scores below which soft anchors ignore a box, likewise; empty: the dataset's.
        soft_label_weight: of the arm with soft labels.
        temperature: of the arm with soft labels.
    """

    dataset: str
    dataset_path: str
    experiment: str
    steps: int
    more_steps: int
    learning_rate: float
    more_learning_rate: float
    overrides: tuple[str, ...] = ()
    unsure_thresholds: str = ""
    ignore_thresholds: str = ""
    soft_label_weight: float = 1.0
    temperature: float = 1.0


@dataclass(frozen=True)
class Supervision:
    """Which labels may be seen.

    Args:
        kind: semi (a share of the sequences), weak (a share of the labelled frames of every sequence), or file.
        share: in (0, 1).
        file: of scripts/make_splits.py, for the kind of that name.
    """

    kind: str
    share: float = 0.0
    file: str = ""

    @classmethod
    def parse(cls, text: str) -> Supervision:
        """From ``semi:0.1``, ``weak:0.02`` or ``file:labelled.json``.

        Raises:
            UserError: something else.

        >>> Supervision.parse("weak:0.02").name
        'weak_0.02'
        """
        kind, _, number = text.partition(":")
        if kind == "file" and number:
            return cls(kind, file=str(Path(number).resolve()))
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if kind not in ("semi", "weak") or not 0 < share < 1:
            raise UserError(
                expected="semi:SHARE or weak:SHARE with a share above 0 and below 1, or file:SPLIT.json",
                got=text,
                where="--supervision",
                fix="for example --supervision semi:0.1 weak:0.02",
            )
        return cls(kind, share)

    @property
    def name(self) -> str:
        """For folders and tables."""
        return f"file_{Path(self.file).stem}" if self.file else f"{self.kind}_{self.share:g}"

    @property
    def override(self) -> str:
        """The key that hides the other labels."""
        if self.file:
            return path_override("dataset.split_file", self.file)
        return f"dataset.{'train_ratio' if self.kind == 'semi' else 'ratio'}={self.share:g}"
