"""Another backbone than the first one labels, is trained by its labels, in rounds too, streams, and is exported."""

from __future__ import annotations

import json
from pathlib import Path

import hydra
import numpy as np
import pytest
import torch

from modules.live.streaming_detector import StreamingDetector
from scripts.rounds.plan import SOFT, build_plan
from scripts.rounds.settings import experiment_settings
from tests.helpers.commands import SMALL, failure, run
from tests.helpers.forked_steps import forked_steps  # noqa: F401 # a fixture
from tests.helpers.made_once import MadeOnce
from tests.scripts.rounds.test_self_train import ROUNDS, WEAK
from utils.commands.cli import CONFIG_DIR
from utils.settings import plain

MODEL = ("model=rnndet-resnet50", "model.backbone.timm_name=resnet10t", "model.backbone.embed_dim=8")
"""The files' network is too large for a test; this one is of its kind."""

LOW = ("model.pseudo_label.obj_thresh=0.001", "model.pseudo_label.cls_thresh={car:0.001,pedestrian:0.001}")


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=2)


@pytest.fixture(scope="module")
def teacher(made_once: MadeOnce, dataset: Path) -> Path:
    def train(folder: Path) -> None:
        few = ("training.max_steps=12", "training.learning_rate=0.005", "validation.limit_val_batches=1")
        assert run("train.py", *SMALL, *MODEL, *few, f"dataset.path={dataset}", f"output.dir={folder}") == 0

    return made_once("resnet-teacher", train) / "last.ckpt"


def test_it_labels_and_is_trained_by_its_labels(dataset: Path, teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    label = ("dataset.ratio=0.25", f"dataset.path={dataset}", f"checkpoint={teacher}", f"save_dir={out / 'train'}")
    size = "model.backbone.embed_dim=8"  # the experiment of SMALL says another one
    least = ("model.postprocess.confidence_threshold=0.00001", "tta.enable=true", *LOW)
    assert run("predict.py", *SMALL, size, *label, *least) == 0
    assert json.loads((out / "summary.json").read_text())["pseudo"] > 0
    quality = tmp_path / "quality.json"
    assert run("val_dst.py", *SMALL, MODEL[0], f"dataset.path={out}", *LOW, f"save_json={quality}") == 0
    assert "one_to_one" in json.loads(quality.read_text())

    student = (*SMALL, *MODEL, "+model/head=soft", f"dataset.path={out}", f"weight={teacher}")
    steps = ("training.max_steps=2", "validation.limit_val_batches=1")
    assert run("train.py", *student, *steps, f"output.dir={tmp_path / 'student'}") == 0
    assert json.loads((tmp_path / "student" / "done.json").read_text())["steps"] == 2


def test_it_streams(teacher: Path) -> None:
    detector = StreamingDetector.from_checkpoint(teacher, confidence_threshold=0.0)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 3, (2, *detector.frame_shape)).astype(detector.frame_dtype)
    first, second = (detector.step(frame) for frame in frames)
    assert first.shape[1] == second.shape[1] == 7
    detector.reset()
    np.testing.assert_array_equal(detector.step(frames[0]), first)


@pytest.mark.soak  # what export does is tested by test_export_onnx.py
def test_it_is_exported(teacher: Path, tmp_path: Path) -> None:
    file = tmp_path / "resnet.onnx"
    assert run("scripts/export_onnx.py", str(teacher), "--frames", "2", "-o", str(file)) == 0
    assert file.stat().st_size > 1_000_000


def test_every_command_of_the_rounds_has_the_network_of_its_checkpoint(tmp_path: Path) -> None:
    model = ("model=rnndet-timm", "model.backbone.timm_name=resnet10t")
    more = ["rounds=2", "control=true", "oracle=true", "dataset_path=DATA", f"root={tmp_path}"]
    for own, students in ((None, (*model, SOFT)), ("rnndet-swin", ("model=rnndet-swin", model[1]))):
        overrides = [*ROUNDS, *more, f"self_training.model={own or 'null'}", "+pipeline=leod"]
        with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            cfg = hydra.compose("self_train", overrides=overrides)
        settings = experiment_settings(plain({key: cfg[key] for key in cfg if key != "model"}))
        plan = build_plan(settings, Path(), model)
        for step in plan.steps:
            chosen = tuple(text for text in step.command if text.startswith(("model=", "model.backbone", SOFT)))
            if Path(step.command[1]).name in ("train.py", "predict.py", "val.py", "val_dst.py"):
                student = step.name in ("round1", "round2", "label2", "val_round1", "val_round2")
                assert chosen == (students if student else model), step.name


@pytest.mark.soak
@pytest.mark.usefixtures("forked_steps")
def test_two_rounds_of_self_training(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("model=rnndet-efficientnet", "model.backbone.timm_name=mobilenetv3_small_050", "model.fpn.depth=0.34")
    rounds = (*ROUNDS, *WEAK, f"dataset_path={dataset}", f"root={tmp_path}", "stop_when_precision_falls=false")
    assert run("scripts/self_train.py", *rounds, *model, "+pipeline=leod") == 0, capsys.readouterr().err
    assert set(json.loads((tmp_path / "summary.json").read_text())["arms"]) == {"baseline", "round1", "round2"}
    student = torch.load(tmp_path / "round2" / "last.ckpt", weights_only=True)["hyper_parameters"]["config"]["model"]
    assert student["backbone"]["timm_name"] == "mobilenetv3_small_050"
    assert student["head"]["ignore_bbox_thresh"] == [0.7, 0.5]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("labelling.overrides=['model.pseudo_label.obj_thresh=[0.1,0.2,0.3]']", "model.pseudo_label.obj_thresh"),
        ("labelling.overrides=['model.pseudo_label.min_track_length=3']", "min_track_len"),
        ("evaluation.overrides=['model.postprocess.nms=0.5']", "nms_threshold"),
        ("model.backbone.timm_name=resnet18", "model.backbone.timm_name"),
    ],
)
def test_mistakes_show_before_the_first_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, says: str
) -> None:
    root = tmp_path / "run"
    message = failure(capsys, "scripts/self_train.py", *ROUNDS, "dataset_path=DATA", f"root={root}", override)
    assert says in message
    assert not root.exists()
