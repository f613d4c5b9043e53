"""Mistakes that hang on the machine or need a trained detector (test_bad_settings.py has the others), and help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import REPOSITORY, SMALL, failure, run
from tests.helpers.made_once import MadeOnce
from utils.commands.run_lock import RunLock


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=2)


def train_arguments(dataset: Path, out: Path, *more: str) -> tuple[str, ...]:
    return (*SMALL, f"dataset.path={dataset}", f"output.dir={out}", "training.max_steps=1", *more)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the message is for machines without a GPU")
def test_no_gpu_names_the_override(capsys: pytest.CaptureFixture[str]) -> None:
    seed_command = (
        "model=rnndet", "hardware.gpus=0", "dataset=gen1x0.01_ss", "+experiment/gen1=small.yaml",
        "training.max_steps=200000",
    )  # fmt: skip
    assert "hardware.accelerator=cpu" in failure(capsys, "train.py", *seed_command)


def test_checkpoint_of_another_size(capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run("train.py", *train_arguments(dataset, out)) == 0
    larger = ("model.backbone.embed_dim=32", f"weight={out / 'last.ckpt'}")
    message = failure(capsys, "train.py", *train_arguments(dataset, tmp_path / "larger", *larger))
    assert "RVT-T for 2 classes" in message
    assert "16" in message
    three = ("dataset.classes=[a,b,c]", "dataset.pseudo_label.threshold_index=[0,1,1]")
    message = failure(
        capsys, "val.py", *SMALL, f"dataset.path={dataset}", f"checkpoint={out / 'last.ckpt'}", *three
    )  # fmt: skip
    assert "for 3 classes" in message


@pytest.mark.parametrize("program", ["train.py", "predict.py", "val.py", "val_dst.py", "scripts/self_train.py"])
def test_help_explains(capsys: pytest.CaptureFixture[str], program: str) -> None:
    capsys.readouterr()
    assert run(program, "--help") == 0
    text = capsys.readouterr().out
    assert "python" in text
    assert "Example" in text
    assert (REPOSITORY / program).exists()


WITHOUT_TORCH = """
import runpy, shlex, sys
for program, *arguments in map(shlex.split, sys.argv[1:]):
    sys.argv = [program, *arguments]
    try:
        runpy.run_path(f"{program}.py", run_name="__main__")
    except SystemExit as stop:
        assert stop.code == 2
    assert not {"torch", "pytorch_lightning"} & sys.modules.keys()
"""


def test_what_is_missing_or_taken_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    commands = ("train", "val checkpoint=a.ckpt", "predict checkpoint=pyproject.toml save_dir=b")
    wrong = [f"{command} dataset.path=/nowhere" for command in commands]
    if not torch.cuda.is_available():
        wrong += [f"{command} dataset.path={tmp_path}" for command in commands]
    with RunLock(tmp_path / "held"):
        wrong.append(f"train output.dir={tmp_path}/held")
        program = [sys.executable, "-c", WITHOUT_TORCH]
        told = subprocess.run([*program, *wrong], cwd=REPOSITORY, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stderr.startswith("\nerror\nexpected: a dataset folder")
    assert told.stderr.count("where:    dataset.path=/nowhere") == 3
    assert told.stderr.count("fix:      add hardware.accelerator=cpu to the command") == len(wrong) - 4
    assert told.stderr.count("expected: a folder that no other run is using") == 1
