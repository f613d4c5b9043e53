"""The rule that ends rounds by the detectors: a student that is worse on val than its teacher or its control."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.rounds.plan import build_plan
from scripts.rounds.settings import experiment_settings
from scripts.rounds.stopping import worse_than
from scripts.rounds.summary import table
from tests.helpers.commands import run
from tests.scripts.rounds.test_several_teachers import experiment
from utils.errors import UserError


def write(folder: Path, **figures: tuple[float, float]) -> dict[str, Path]:
    """Files of val.py by detector, with AP and product_AP."""
    paths = {name: folder / f"{name}_val.json" for name in figures}
    for name, (first, second) in figures.items():
        paths[name].write_text(json.dumps({"figures": {"AP": first, "product_AP": second}}))
    return paths


def test_worse_is_what_both_rankings_say(tmp_path: Path) -> None:
    found = write(tmp_path, round1=(0.2, 0.3), lower=(0.1, 0.2), mixed=(0.3, 0.3), higher=(0.3, 0.4))
    student = found.pop("round1")
    assert worse_than(student, list(found.values())) == [found["higher"]]
    found["mixed"].write_text(json.dumps({"figures": {"AP": 0.3}}))  # evaluated before there was another ranking
    assert worse_than(student, [found["mixed"]]) == [found["mixed"]]


@pytest.mark.parametrize(("control", "stops"), [((0.3, 0.4), True), ((0.1, 0.4), False)])
def test_what_is_decided_is_told(tmp_path: Path, control: tuple[float, float], stops: bool) -> None:
    found = write(tmp_path, baseline=(0.1, 0.1), control1=control, round1=(0.2, 0.3))
    places = [str(found[name]) for name in ("baseline", "control1", "round1")]
    decision, marker = tmp_path / "decision.json", tmp_path / "no"
    assert run("scripts/rounds/decide.py", "--val", *places, str(decision), str(marker)) == 0
    assert marker.exists() is stops
    summary = {"splits": [], "arms": {}, "pseudo_labels": {}, "decisions": {"round2": json.loads(decision.read_text())}}
    words = "not trained: on val round1 is worse than control1 (AP: round1 20.00, baseline 10.00, control1 30.00)"
    if not stops:
        words = "trained: on val round1 is not worse than baseline and control1"
    assert f"round2 was {words}" in table(summary)


def test_a_round_waits_with_its_labels_for_the_student_before(tmp_path: Path) -> None:
    given = experiment(tmp_path, "rounds=3", "stop_when=val", "oracle=false")
    plan = build_plan(experiment_settings(given), Path())
    steps = {step.name: step for step in plan.steps}
    markers = tuple(tmp_path / f"no_round{number}.json" for number in (2, 3))
    assert set(steps["decide2"].needs) == {"val_baseline", "val_control1", "val_round1"}
    assert set(steps["decide3"].needs) == {"val_round1", "val_control2", "val_round2"}
    for number in (2, 3):
        for name in ("label", "round", "control"):
            step = steps[f"{name}{number}"]
            assert f"decide{number}" in step.needs
            assert step.unless == markers[: number - 1]
    assert not steps["label1"].unless
    seen: set[str] = set()
    for step in plan.steps:
        assert seen.issuperset(step.needs)
        seen.add(step.name)
    never = build_plan(experiment_settings(experiment(tmp_path, "rounds=2", "stop_when_precision_falls=false")), Path())
    assert not never.decisions
    with pytest.raises(UserError, match="val among the splits"):
        experiment_settings(experiment(tmp_path, "stop_when=val", "evaluation.splits=[test]"))
    with pytest.raises(UserError, match="precision, val or never"):
        experiment_settings(experiment(tmp_path, "stop_when=soon"))
