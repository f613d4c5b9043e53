"""The rule that ends self-training: no further round once the precision of the pseudo labels falls."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from utils.jobs.steps import Step

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


def precision(figures: Path) -> float:
    """Precision of pseudo labels: one box, one hidden label of its class, IoU 0.5, all classes together."""
    return float(json.loads(figures.read_text(encoding="utf-8"))["one_to_one"]["all"]["precision_50"])


def guarded(step: Step) -> Step:
    """The step as a job that may have been queued before a marker of its ``unless`` appears: it then does nothing."""
    if not step.unless:
        return step
    words = (sys.executable, str(FOLDER / "unless.py"), *(str(marker) for marker in step.unless), "--", *step.command)
    return replace(step, command=words)
