"""Every backbone of config/model trains, evaluates and says its size through the real commands."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.helpers.commands import SMALL, failure, run
from tests.helpers.made_once import MadeOnce

NARROW = ("model.backbone.embed_dim=8", "dataset.sequence_length=2")
BACKBONES = {
    "resnet50": ("model.backbone.timm_name=resnet10t",),
    "swin": ("++model.backbone.timm_args={embed_dim:12,depths:[1,1,1,1],num_heads:[1,1,2,2]}",),
    "efficientnet": ("model.backbone.timm_name=mobilenetv3_small_050",),
    "timm": ("model.backbone.timm_name=resnet10t", "model.backbone.recurrence=none"),
}


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=2)


@pytest.mark.parametrize(  # the others are of timm's hierarchical kind, as resnet50 is
    "name", [name if name in ("resnet50", "swin") else pytest.param(name, marks=pytest.mark.soak) for name in BACKBONES]
)
def test_it_trains_and_evaluates(dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    caplog.set_level(logging.INFO)
    shared = (*SMALL, f"model=rnndet-{name}", f"dataset.path={dataset}", *NARROW, *BACKBONES[name])
    train = (*shared, "training.max_steps=3", "validation.limit_val_batches=1", "dataset.train.sampling=stream")
    assert run("train.py", *train, f"output.dir={tmp_path}") == 0
    assert f"rnndet-{name}: " in caplog.text
    assert " M parameters: backbone " in caplog.text
    assert json.loads((tmp_path / "done.json").read_text())["steps"] == 3
    status = run("val.py", *shared, f"checkpoint={tmp_path / 'last.ckpt'}", f"save_json={tmp_path / 'val.json'}")
    assert status == 0
    assert "AP_50" in json.loads((tmp_path / "val.json").read_text())["figures"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("model=rnndet", "model.backbone.name=resnet"), "MaxViTRNN or timm"),
        (("model=rnndet-resnet50", "model.backbone.enable_masking=true"), "only MaxViTRNN has it"),
        (("model=rnndet-resnet50", "model.backbone.pretrained_file=missing.pth"), "pretrained_file=missing.pth"),
    ],
)
def test_mistakes(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: tuple[str, ...], message: str
) -> None:
    arguments = (*SMALL, f"dataset.path={dataset}", f"output.dir={tmp_path}", *settings)
    assert message in failure(capsys, "train.py", *arguments)
