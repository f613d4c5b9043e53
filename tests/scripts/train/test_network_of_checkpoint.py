"""val.py and predict.py take the network from the checkpoint, and refuse what contradicts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import SMALL, failure, run
from tests.helpers.made_once import MadeOnce

WITHOUT_MODEL = (
    "dataset=synthetic", "dataset.sequence_length=4", "hardware.accelerator=cpu", "hardware.threads=1",
    "hardware.num_workers.eval=0", "batch_size.eval=2", "logging.progress_bar=false", "logging.report=false",
)  # fmt: skip
"""As ``SMALL``, without the experiment that says the size of the network (it is not the default one)."""


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset()


@pytest.fixture(scope="module")
def teacher(made_once: MadeOnce) -> Path:
    return made_once.teacher()


@pytest.fixture(scope="module")
def other(dataset: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose configuration says another kind of network, for what is refused before weights are loaded."""
    checkpoint = torch.load(teacher, weights_only=True)
    own = checkpoint["hyper_parameters"]["config"]["model"]
    own["backbone"] = {**own["backbone"], "name": "timm", "timm_name": "resnet10t", "recurrence": "convgru"}
    path = tmp_path_factory.mktemp("other") / "timm.ckpt"
    torch.save(checkpoint, path)
    return path


def figures(folder: Path, dataset: Path, checkpoint: Path, *more: str) -> dict:
    out = folder / "figures.json"
    assert run("val.py", *more, f"dataset.path={dataset}", f"checkpoint={checkpoint}", f"save_json={out}") == 0
    return json.loads(out.read_text())["figures"]


def test_a_dataset_and_a_checkpoint_are_enough(dataset: Path, teacher: Path, tmp_path: Path) -> None:
    alone = figures(tmp_path, dataset, teacher, *WITHOUT_MODEL)
    assert alone == figures(tmp_path, dataset, teacher, *SMALL, "model=rnndet", "model.backbone.embed_dim=16")


def test_what_may_differ(dataset: Path, teacher: Path, tmp_path: Path) -> None:
    figures(
        tmp_path, dataset, teacher, *WITHOUT_MODEL, "model=rnndet-soft", "model.postprocess.nms_threshold=0.6",
        "model.backbone.plain_arithmetic=true", "model.head.use_l1=true", "model.backbone.attention.drop_path=0.1",
        "model.backbone.lstm.fused=false", "model.head.ignore_bbox_thresh=[0.5,0.4]",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("model.backbone.embed_dim=64",), ("model.backbone.embed_dim=16", "model.backbone.embed_dim=64")),
        (("model.fpn.depth=1",), ("model.fpn.depth=0.33", "model.fpn.depth=1")),
        (("model.backbone.num_blocks=[2,2,2,2]",), ("num_blocks=[1, 1, 1, 1]", "num_blocks=[2, 2, 2, 2]")),
        (("+experiment/gen1=base.yaml",), ("embed_dim=16", "embed_dim=64, by +experiment/gen1=base.yaml")),
        (("model=rnndet-swin",), ("model.backbone.name=MaxViTRNN", "model.backbone.name=timm, by model=rnndet-swin")),
        (("dataset.partition_split_32=2",), ("partition_split_32=1", "dataset.partition_split_32=2")),
        (("+model.backbone.timm_name=resnet18",), ("no model.backbone.timm_name", "resnet18")),
    ],
)
@pytest.mark.parametrize("program", ["val.py", pytest.param("predict.py", marks=pytest.mark.soak)])
def test_what_contradicts_is_refused(
    dataset: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    program: str, overrides: tuple[str, ...], says: tuple[str, ...],
) -> None:  # fmt: skip
    out = [f"save_dir={tmp_path / 'labels' / 'train'}"] if program == "predict.py" else []
    arguments = (*WITHOUT_MODEL, f"dataset.path={dataset}", f"checkpoint={teacher}", *out, *overrides)
    message = failure(capsys, program, *arguments)
    for text in (*says, str(teacher), f"leave {overrides[0]} out"):
        assert text in message
    assert not (tmp_path / "labels").exists()


@pytest.mark.parametrize("choice", ["model=rnndet", "model=pseudo_labeler", "model=rnndet-resnet50"])
def test_a_chosen_model_of_another_kind_is_refused(
    dataset: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], choice: str
) -> None:
    program = "predict.py" if choice == "model=pseudo_labeler" else "val.py"
    out = [f"save_dir={tmp_path / 'labels' / 'train'}"] if program == "predict.py" else []
    arguments = (*WITHOUT_MODEL, f"dataset.path={dataset}", f"checkpoint={other}", *out, choice)
    message = failure(capsys, program, *arguments)
    key = "timm_name=resnet10t" if "resnet50" in choice else "name=timm"
    assert f"model.backbone.{key}, as in the checkpoint" in message


def test_classes_and_channels_agree_with_the_dataset(
    dataset: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (*WITHOUT_MODEL, f"dataset.path={dataset}", f"checkpoint={teacher}")
    three = ("dataset.classes=[a,b,c]", "dataset.pseudo_label.threshold_index=[0,1,1]")
    assert "for 3 classes" in failure(capsys, "val.py", *arguments, *three)
    assert "10 input channels" in failure(capsys, "val.py", *arguments, "dataset.representation.bins=5")


def test_a_checkpoint_without_the_newest_keys(dataset: Path, teacher: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(teacher, weights_only=True)
    backbone = checkpoint["hyper_parameters"]["config"]["model"]["backbone"]
    for key in ("name", "compile", "plain_arithmetic"):
        del backbone[key]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    more = (*WITHOUT_MODEL, "model=rnndet", "model.backbone.plain_arithmetic=true")
    assert figures(tmp_path, dataset, tmp_path / "old.ckpt", *more)


def test_an_experiment_that_chooses_a_model(
    dataset: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a file is no configuration by itself; what it changes counts."""
    file = tmp_path / "experiment" / "mine.yaml"
    file.parent.mkdir()
    file.write_text("# @package _global_\ndefaults:\n  - override /model: rnndet-resnet50\n  - _self_\n")
    arguments = (*WITHOUT_MODEL, f"dataset.path={dataset}", f"checkpoint={teacher}", "+experiment=mine")
    message = failure(capsys, "val.py", f"hydra.searchpath=[file://{tmp_path}]", *arguments)
    assert "model.backbone.name=timm, by +experiment=mine" in message


def test_other_classes_are_refused(dataset: Path, teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = (f"dataset.path={dataset}", f"checkpoint={teacher}", "dataset.classes=[a,b]")
    assert "set dataset.classes=[car, pedestrian]" in failure(capsys, "val.py", *WITHOUT_MODEL, *more)


@pytest.mark.parametrize("program", ["val.py", "predict.py"])
def test_the_same_classes_in_another_order_are_refused(
    dataset: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    more = (f"dataset.path={dataset}", f"checkpoint={teacher}", "dataset.classes=[pedestrian,car]")
    more += (f"save_dir={tmp_path / 'train'}",) if program == "predict.py" else ()
    message = failure(capsys, program, *WITHOUT_MODEL, *more)
    assert "[car, pedestrian]" in message
    assert "dataset.classes" in message
    assert not list(tmp_path.iterdir())
