"""Several first teachers: their trainings, their labels together, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import hydra
import pytest
import torch

from config.compose import compose
from scripts.ablation.settings import AblationSettings, Supervision
from scripts.ablation.steps import AblationBuilder, build_part
from scripts.rounds.plan import build_plan
from scripts.rounds.settings import check_settings, experiment_settings
from tests.helpers.commands import SMALL, failure, run
from tests.helpers.made_once import MadeOnce
from tests.scripts.rounds.test_predict import label_arguments
from utils.commands.cli import CONFIG_DIR
from utils.commands.path_overrides import paths_override
from utils.errors import UserError


def experiment(root: Path, *overrides: str) -> dict:
    begin = ["experiment_name=synthetic/demo", "dataset_path=DATA", f"root={root}"]
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose("self_train", overrides=[*begin, *overrides])  # pyright: ignore[reportReturnType]


def test_first_teachers_have_a_seed_each_and_label_the_first_round(tmp_path: Path) -> None:
    root = tmp_path / "a=1,b"
    given = experiment(tmp_path, "rounds=2", "teachers=2", "seed=3", f"root='{root}'")
    plan = build_plan(experiment_settings(given), Path())
    steps = {step.name: step for step in plan.steps}
    assert "reproduce.seed_everything=3" in steps["baseline"].command
    assert "reproduce.seed_everything=1003" in steps["baseline_b"].command
    assert {"baseline", "baseline_b"} <= set(steps["label1"].needs)
    assert "baseline_b" not in steps["label2"].needs
    labels = compose(steps["label1"].command[2:], "predict")
    both = [str(root / name / "last.ckpt") for name in ("baseline", "baseline_b")]
    assert labels["checkpoint"] == both
    assert compose(steps["label2"].command[2:], "predict")["checkpoint"] == str(root / "round1" / "last.ckpt")
    assert f"weight='{root / 'baseline' / 'last.ckpt'}'" in steps["round1"].command
    assert [arm.name for arm in plan.arms][:2] == ["baseline", "baseline_b"]
    for wrong in ("teachers=0", "teachers=1.5", "teachers=27", "rounds=0", "rounds=1.5"):
        with pytest.raises(UserError, match=wrong.partition("=")[0]):
            experiment_settings(experiment(tmp_path, wrong))


def test_a_folder_of_before_goes_on(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"seed": 0}))
    check_settings(tmp_path, {"seed": 0, "teachers": 1})
    check_settings(tmp_path, {"seed": 0})
    with pytest.raises(UserError, match="teachers=2"):
        check_settings(tmp_path, {"seed": 0, "teachers": 2})


def test_the_arm_of_two_teachers() -> None:
    own = AblationSettings("synthetic", "DATA", "synthetic/demo", 100, 40, 0.002, 0.001)
    build = AblationBuilder(own, Path("RUN"), Path(), ["val"])
    build_part(build, Supervision.parse("semi:0.1"), 0, ["teachers2"])
    steps = {step.name: step for step in build.steps}
    labels, arm = steps["semi_0.1-s0-labels_agreed_two_teachers"], steps["semi_0.1-s0-teachers2"]
    both = ["RUN/semi_0.1-s0-baseline/last.ckpt", "RUN/semi_0.1-s1000-baseline/last.ckpt"]
    assert paths_override("checkpoint", both) in labels.command
    assert "reproduce.seed_everything=1000" in steps["semi_0.1-s1000-baseline"].command
    assert f"weight={both[0]}" in arm.command


def test_two_label_together(made_once: MadeOnce, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, teacher = made_once.dataset(), made_once.teacher()
    checkpoint = torch.load(teacher, weights_only=True)
    weights = checkpoint["state_dict"]
    name = next(name for name in weights if name.endswith("obj_preds.0.bias"))
    checkpoint["state_dict"] = {**weights, name: weights[name] + 0.5}
    torch.save(checkpoint, tmp_path / "b=1.ckpt")
    checkpoint["hyper_parameters"]["config"]["model"]["backbone"]["attention"]["mlp_ratio"] = 2
    torch.save(checkpoint, tmp_path / "wide.ckpt")

    def arguments(*files: Path) -> list[str]:
        more = ("tta.enable=false", "tta.merge=agreement", "tta.merge_floor=0.005", "dataset.ratio=0.25")
        own = label_arguments(dataset, teacher, tmp_path / "labels", *more, "model.pseudo_label.keep_views=true")
        return [text for text in own if not text.startswith(("checkpoint=", "tta.enable=true"))] + [
            f"checkpoint=[{','.join(map(str, files))}]"
        ]

    message = failure(capsys, "predict.py", *arguments(teacher, tmp_path / "wide.ckpt"))
    assert "model.backbone.attention.mlp_ratio: 2 instead of 4" in message
    assert "no such file" in failure(capsys, "predict.py", *arguments(teacher, tmp_path / "none.ckpt"))
    assert "one path" in failure(capsys, "val.py", *SMALL, f"checkpoint=[{teacher},{teacher}]")
    (tmp_path / "notes.ckpt").write_text("no weights")
    assert f"where:    {tmp_path / 'notes.ckpt'}" in failure(
        capsys, "predict.py", *arguments(teacher, tmp_path / "notes.ckpt")
    )
    assert not (tmp_path / "labels").exists()
    assert run("predict.py", *arguments(teacher, tmp_path / "b=1.ckpt")) == 0
    manifest = json.loads((tmp_path / "labels" / "manifest.json").read_text())
    assert manifest["settings"]["teachers"] == 2
    assert len(set(manifest["settings"]["provenance"]["checkpoint_sha256"])) == 2
    assert manifest["teacher"] == f"{teacher}, {tmp_path / 'b=1.ckpt'}"
    assert manifest["summary"]["pseudo"] > 0

    quality = tmp_path / "quality.json"
    every = (
        "model.pseudo_label.obj_thresh=0",
        "model.pseudo_label.cls_thresh=0",
        f"dataset.path={tmp_path / 'labels'}",
    )
    assert run("val_dst.py", "model=pseudo_labeler", *SMALL, *every, f"save_json={quality}") == 0
    steps = json.loads(quality.read_text())["steps"]
    assert list(steps) == ["detections", "+ further views", "+ agreement of the views", "+ tracking"]
