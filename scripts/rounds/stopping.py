"""The rules that end self-training: the precision of the pseudo labels falls, or a student is worse on val."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from utils.jobs.steps import Step
from utils.json_files import Kind, read_json

FOLDER = Path(__file__).resolve().parent


def decide(name: str, before: Path, now: Path, decision: Path, marker: Path) -> Step:
    """Step that compares two rounds' labels and leaves ``decision``, and ``marker`` too if the round is not to be.

    Args:
        name: of the step.
        before: figures of val_dst.py on the labels of the round before.
        now: ... on those of this round.
        decision: JSON: both precisions and whether to stop.
        marker: exists when to stop; steps that carry it in ``unless`` are left out.
    """
    places = [str(path) for path in (before, now, decision, marker)]
    return Step(name, (sys.executable, str(FOLDER / "decide.py"), *places), decision)


def decide_on_val(name: str, others: Sequence[Path], student: Path, decision: Path, marker: Path) -> Step:
    """Step that compares a student with others on val and leaves what ``decide`` leaves.

    Args:
        name: of the step.
        others: figures of val.py of its teacher, and of its control if there is one, ``NAME_val.json``.
        student: ... of itself.
        decision: JSON: whether to stop, and why.
        marker: exists when to stop.
    """
    places = [str(path) for path in (*others, student, decision, marker)]
    return Step(name, (sys.executable, str(FOLDER / "decide.py"), "--val", *places), decision)


def worse_than(student: Path, others: Sequence[Path]) -> list[Path]:
    """Those of other detectors that are better on val, by every ranking of the scores (class, product)."""
    own, *rest = (_on_val(path) for path in (student, *others))
    ranked = [key for key in ("AP", "product_AP", "class_AP") if all(key in found for found in (own, *rest))]
    return [path for path, found in zip(others, rest, strict=True) if all(own[key] < found[key] for key in ranked)]


def ap_on_val(figures: Path) -> float:
    """AP of a detector, a share."""
    return float(_on_val(figures)["AP"])


def _on_val(figures: Path) -> dict[str, float]:
    return load(figures, {"figures": {"AP": float, "product_AP?": float, "class_AP?": float}})["figures"]


def precision(figures: Path) -> float:
    """Precision of pseudo labels: one box, one hidden label of its class, IoU 0.5, all classes together."""
    return float(load(figures, {"one_to_one": {"all": {"precision_50": float}}})["one_to_one"]["all"]["precision_50"])


def load(path: Path, kind: Kind = object) -> Any:
    """Figures of a file.

    Args:
        path: of the file, JSON.
        kind: what it must hold, see ``utils.json_files``.

    Raises:
        UserError: it cannot be read, or holds something else.
    """
    return read_json(path, kind, expected="the figures of a step", fix="remove it and start the same command again")


def guarded(step: Step) -> Step:
    """The step as a job that may have been queued before a marker of its ``unless`` appears: it then does nothing."""
    if not step.unless:
        return step
    words = (sys.executable, str(FOLDER / "unless.py"), *(str(marker) for marker in step.unless), "--", *step.command)
    return replace(step, command=words)
