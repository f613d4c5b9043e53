"""Two rounds of self-training end to end, weak and semi, and the rule that ends them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hydra
import pytest
import torch
from PIL import Image

from scripts import compare_runs
from scripts.rounds.plan import build_plan
from scripts.rounds.settings import as_begun, check_settings, experiment_settings
from scripts.rounds.stopping import guarded
from tests.helpers.commands import failure, run
from tests.helpers.forked_steps import forked_steps  # noqa: F401 # a fixture
from tests.helpers.made_once import MadeOnce
from utils.commands.cli import CONFIG_DIR
from utils.errors import UserError
from utils.jobs.steps import Step

ROUNDS = (
    "experiment_name=synthetic/demo", "rounds=2", "supervised.steps=30", "supervised.learning_rate=0.005",
    "self_training.steps=4", "control=false", "oracle=false", "evaluation.splits=[val]",
    "overrides=['dataset.sequence_length=4','batch_size.train=2','batch_size.eval=2','logging.progress_bar=false',"
    "'logging.report=false']",
    "labelling.overrides=['tta.merge_floor=0.0001',"
    "'model.postprocess.confidence_threshold=0.00001']",
)  # fmt: skip
WEAK = ("labels.train_ratio=null", "labels.ratio=0.25")


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce, warm: None) -> Path:
    return made_once.dataset(train=1)


def summary_of(root: Path) -> dict:
    return json.loads((root / "summary.json").read_text())


def rewrite_precision(root: Path, round_name: str, value: float) -> None:
    file = root / "evaluation" / f"labels_{round_name}.json"
    figures = json.loads(file.read_text())
    figures["one_to_one"]["all"]["precision_50"] = value
    file.write_text(json.dumps(figures))


def forget_decision(root: Path) -> None:
    (root / "evaluation" / "decision_round2.json").unlink()
    (root / "no_round2.json").unlink(missing_ok=True)


def forget_round(root: Path) -> None:
    (root / "evaluation" / "round2_val.json").unlink(missing_ok=True)
    shutil.rmtree(root / "round2", ignore_errors=True)


@pytest.mark.usefixtures("forked_steps")
def test_two_rounds_weak_with_averaged_weights(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "run"
    start = (*ROUNDS, *WEAK, f"dataset_path={dataset}", f"root={root}", "ema_decay=0.5")
    assert run("scripts/self_train.py", *start) == 0, capsys.readouterr().err
    first = summary_of(root)
    assert list(first["decisions"]) == ["round2"]
    assert set(first["pseudo_labels"]) == {"round1", "round2"}
    for quality in first["pseudo_labels"].values():
        assert list(quality["steps"])[-1] == "+ tracking"
        assert quality["boxes"] > 0
    assert "averaging_state" in torch.load(root / "baseline" / "last.ckpt", weights_only=True)

    # The precision of the second round's labels decides.
    for precision, trained in ((1.0, True), (0.0, False)):
        rewrite_precision(root, "round1", 0.5)
        rewrite_precision(root, "round2", precision)
        forget_decision(root)
        if not trained:
            forget_round(root)
        capsys.readouterr()
        assert run("scripts/self_train.py", *start, "report=false") == 0
        text = capsys.readouterr().out
        summary = summary_of(root)
        assert ("round2" in summary["arms"]) is trained
        assert (root / "round2").exists() is trained
        assert summary["stopped_before"] == (None if trained else "round2")
        verdict = "trained" if trained else "not trained, as the precision of its labels has fallen"
        assert f"round2 was {verdict}: {100 * precision:.1f} after 50.0" in text
        assert "after + agreement of the views" in text
        count = summary["labels_written"]["round1"]["pseudo"]
        assert f"round1: {count} pseudo labels" in text
        assert (root / "summary.txt").read_text().strip() == text.strip()
    assert "round1" in (root / "report.html").read_text()
    with Image.open(root / "summary.png") as picture:
        assert min(picture.size) > 300

    assert "settings" in failure(capsys, "scripts/self_train.py", *start, "stop_when_precision_falls=false")

    stopped = compare_runs.load([root])[0]
    whole = {**stopped, "arms": {**stopped["arms"], "round2": stopped["arms"]["round1"]}}
    page = compare_runs.markdown([stopped, whole])
    assert "| round2 (1 of 2 seeds) |" in page
    assert "| round1 | after detections |" in page


def test_a_job_in_the_queue_becomes_nothing_when_the_decision_is_against_it(tmp_path: Path) -> None:
    write = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('x')"
    marker, result = tmp_path / "no", tmp_path / "result"
    step = Step("write", (sys.executable, "-c", write, str(result)), result, unless=(tmp_path / "other", marker))
    assert guarded(replace(step, unless=())).command == step.command
    marker.touch()
    done = subprocess.run(guarded(step).command, capture_output=True, text=True, check=True)
    assert str(marker) in done.stdout
    assert not result.exists()
    assert "not needed" in step.why_done()
    marker.unlink()
    assert step.why_done() == ""
    subprocess.run(guarded(step).command, check=True)
    assert "already there" in step.why_done()


def test_without_hidden_labels_nothing_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    nothing = ("labels.train_ratio=null", "dataset_path=DATA", f"root={tmp_path / 'run'}")
    assert "oracle=false" in failure(capsys, "scripts/self_train.py", *ROUNDS, *nothing, "oracle=true")
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        plan = build_plan(experiment_settings(hydra.compose("self_train", overrides=[*ROUNDS, *nothing])), Path())
    assert [step.name for step in plan.steps] == [
        "baseline", "val_baseline", "label1", "round1", "val_round1", "label2", "round2", "val_round2",
    ]  # fmt: skip
    assert not any(step.unless for step in plan.steps)
    assert "model.pseudo_label.keep_views=false" in plan.steps[2].command
    assert "stop_when_precision_falls does nothing" in caplog.text


def test_what_waits_for_the_decision(tmp_path: Path) -> None:
    more = ["rounds=3", "control=true", "oracle=true", "dataset_path=DATA", f"root={tmp_path}"]
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        plan = build_plan(experiment_settings(hydra.compose("self_train", overrides=[*ROUNDS, *more])), Path())
    steps = {step.name: step for step in plan.steps}
    second, third = tmp_path / "no_round2.json", tmp_path / "no_round3.json"
    for name in ("round2", "control2", "oracle2", "val_round2", "label3", "decide3"):
        assert steps[name].unless == (second,), name
    for name in ("round3", "control3", "oracle3", "val_oracle"):
        assert steps[name].unless == (second, third), name
    assert all(
        not steps[name].unless for name in ("round1", "control1", "label2", "quality2", "decide2", "val_oracle1")
    )
    for name in ("round2", "control2", "oracle2"):
        assert "decide2" in steps[name].needs


def test_a_folder_that_was_begun_as_leod_labels_goes_on_so(tmp_path: Path) -> None:
    now = {
        "labelling": {"tta": True, "options": ["tta.merge=agreement"]},
        "self_training": {"model": None, "soft_anchors": False},
    }
    assert as_begun(tmp_path, now) == now
    before = {"labelling": {"tta": True}, "self_training": {"model": "rnndet-soft"}}
    (tmp_path / "settings.json").write_text(json.dumps(before))
    begun = as_begun(tmp_path, now)
    assert begun["labelling"]["options"] == []
    assert begun["self_training"] == {"model": "rnndet-soft", "soft_anchors": True}
    check_settings(tmp_path, begun)
    with pytest.raises(UserError, match="labelling"):
        check_settings(tmp_path, now)
