"""The ablation of self-training: its steps, its figures, and two arms of it at toy size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from scripts.ablation.report import differences, markdown, shares
from scripts.ablation.settings import AblationSettings, Supervision
from scripts.ablation.steps import _PIPELINE, ARMS, AblationBuilder, build_part
from tests.helpers.commands import run
from tests.helpers.forked_steps import forked_steps  # noqa: F401 # a fixture
from tests.helpers.made_once import MadeOnce
from utils.errors import UserError

PROGRAM = "scripts/ablation/__main__.py"
SETTINGS = AblationSettings("synthetic", "DATA", "synthetic/demo", 100, 40, 0.002, 0.001)


def test_every_arm_takes_the_steps_of_its_control_and_work_is_shared() -> None:
    build = AblationBuilder(SETTINGS, Path("RUN"), Path(), ["val"])
    parts = [
        build_part(build, Supervision.parse(text), seed, list(ARMS), [50, 100])
        for text in ("semi:0.1", "weak:0.02")
        for seed in (0, 1)
    ]
    for part in parts:
        assert set(part.arms) == set(ARMS)
        steps = {name: arm.steps for name, (arm, _) in part.arms.items()}
        assert steps.pop("baseline") == 100
        assert {name for name, count in steps.items() if count == 180} == {
            "round2",
            "agreement2",
            "control2",
            "oracle2",
        }
        assert set(steps.values()) == {140, 180}
        leod = {"one view", "views", "tracked", "tracked, unsure ones too", "round 2"}
        assert set(part.qualities) == leod | set(_PIPELINE)
    names = [step.name for step in build.steps]
    assert len(names) == len(set(names))
    assert names.count("all-s0-oracle") == 1, "the oracle knows no supervision"
    seen: set[str] = set()
    for step in build.steps:
        assert seen.issuperset(step.needs), f"{step.name} needs what comes later"
        seen.add(step.name)
        text = " ".join(step.command)
        if "predict.py" in text and step.name.endswith("labels_tracked"):
            assert "only_load_labels=true" in text, "the detector does not run twice for the same boxes"
        if step.name.endswith("soft-labels") and "train.py" in text:
            assert "model.head.use_soft_labels=true" in text
            assert "labels_tracked_unsure_ones_too" in text
    few = next(step for step in build.steps if step.name == "semi_0.1-s0-baseline")
    assert "dataset.train_ratio=0.1" in few.command
    assert "dataset.ratio=0.02" in next(s for s in build.steps if s.name == "weak_0.02-s1-control").command


def test_soft_anchors_get_unsure_boxes_and_ignore_them() -> None:
    settings = replace(SETTINGS, unsure_thresholds="0.4", ignore_thresholds="[0.6,0.5]")
    build = AblationBuilder(settings, Path("RUN"), Path(), ["val"])
    build_part(build, Supervision.parse("semi:0.1"), 0, list(ARMS))
    commands = {step.name: step.command for step in build.steps}
    for name, command in commands.items():
        unsure = name.endswith(("unsure_ones_too", "round_2"))
        limit = "model.pseudo_label.obj_thresh="
        if name.startswith("quality"):
            assert f"{limit}{'[0.6,0.5]' if unsure else '0'}" in command, "what training takes for an object"
        elif "labels" in name:
            assert (f"{limit}0.4" in command) == unsure
            raw = "model.pseudo_label.min_track_len=0" in command
            assert raw == name.endswith(("one_view", "views")), "the others are tracked"


def results_of(**arms: list[float]) -> dict:
    rows = {
        name: {
            "meaning": ARMS[name.replace("_", "-")],
            "steps": 1,
            "val": {"AP": values, "AP_50": values, "product_AP": [2 * value for value in values]},
        }
        for name, values in arms.items()
    }
    own = {"arms": rows, "labels": {"views": {"precision_50": [0.5], "recall_50": [0.25]}}, "curve": {"10": [0.1]}}
    return {"command": "python x.py", "seeds": [0, 1], "splits": ["val"], "supervisions": {"semi_0.1": own}}


def test_differences_are_paired_by_seed_and_the_gap_is_of_means() -> None:
    results = results_of(
        baseline=[0.1, 0.2], control=[0.2, 0.3], soft=[0.25, 0.37], oracle=[0.4, 0.5],
        round2=[0.5, 0.5], control2=[0.4, 0.4], oracle2=[0.35, 0.4],
    )  # fmt: skip
    arms = results["supervisions"]["semi_0.1"]["arms"]
    assert differences(arms, "soft", "val") == pytest.approx([0.05, 0.07])
    assert differences(arms, "control", "val") is None
    assert differences(arms, "soft", "val", "product_AP") == pytest.approx([0.1, 0.14])
    assert shares(arms, "soft", "val") == pytest.approx([0.25, 0.35])
    assert differences(arms, "round2", "val") == pytest.approx([0.1, 0.1])
    assert shares(arms, "round2", "val") is None, "all labels are no better here"
    page = markdown(results)
    row = "| 31.0 ± 8.5 | 31.0 ± 8.5 | 6.0 ± 1.4 | 30 ± 7 % | 62.0 ± 17.0 | 12.0 ± 2.8 | 30 ± 7 % |"
    assert f"| soft | + soft anchors | 1 {row}" in page
    assert "python x.py" in page
    assert "| views | 50.0 | 25.0 |" in page


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce, warm: None) -> Path:
    return made_once.dataset(train=2)


@pytest.mark.usefixtures("forked_steps")
def test_two_arms(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = (
        "--dataset-path", str(dataset), "--root", str(tmp_path), "--supervision", "semi:0.5", "--seeds", "3",
        "--arms", "control", "tracking", "--steps", "4", "--more-steps", "3", "--create-thresholds", "0.01",
        "--curve", "2", "4", "--ema-decay", "0.5",
    )  # fmt: skip
    overrides = (
        "dataset.sequence_length=4",
        "batch_size.train=2",
        "logging.progress_bar=false",
        "logging.report=false",
    )
    assert run(PROGRAM, *start, *overrides) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    own = results["supervisions"]["semi_0.5"]
    assert [(name, arm["steps"]) for name, arm in own["arms"].items()] == [
        ("baseline", 4), ("control", 7), ("tracking", 7),
    ]  # fmt: skip
    assert list(own["labels"]) == ["views", "tracked"]
    assert list(own["curve"]) == ["2", "4"]
    assert own["curve"]["4"] == own["arms"]["baseline"]["val"]["AP"]
    assert "| tracking | + tracking | 7 |" in text
    assert f"--root {tmp_path}" in text
    assert (tmp_path / "results.md").read_text() == text.rstrip("\n") + "\n"
    with Image.open(tmp_path / "results.png") as picture:
        assert min(picture.size) > 300
    assert run(PROGRAM, *start, *overrides) == 0
    assert json.loads((tmp_path / "results.json").read_text()) == results, "nothing runs twice"
    with pytest.raises(UserError, match=r"steps=5 \(before: 4\)"):
        run(PROGRAM, *start, "--steps", "5", *overrides)


@pytest.mark.parametrize("wrong", [("--supervision", "weak:2"), ("--supervision", "few:0.1"), ("--steps", "0")])
def test_mistakes(tmp_path: Path, wrong: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=wrong[0]):
        run(PROGRAM, "--dataset-path", "DATA", "--root", str(tmp_path), *wrong)
