"""A user's mistake gives one message and exit status 2, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.running import REPOSITORY, SMALL, failure, run
from tests.tiny import REPR_NAME, write_tiny_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data"), train=2)


def train_arguments(dataset: Path, out: Path, *more: str) -> tuple[str, ...]:
    return (*SMALL, f"dataset.path={dataset}", f"output.dir={out}", "training.max_steps=1", *more)


def test_typo_in_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, "train.py", "training.max_step=3")
    assert "did you mean 'training.max_steps'" in message


def test_unknown_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    assert "gen1x0.01_ss" in failure(capsys, "train.py", "dataset=gen7")


def test_missing_dataset_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    message = failure(capsys, "train.py", *SMALL, f"dataset.path={tmp_path / 'nowhere'}", f"output.dir={out}")
    assert "dataset.path" in message
    assert not out.exists()


def test_wrong_class_count(capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    more = ("dataset.classes=[car]", "dataset.pseudo_label.threshold_index=[0]")
    message = failure(capsys, "train.py", *train_arguments(dataset, out, *more))
    assert "dataset.classes" in message
    assert not out.exists()


def test_missing_files_of_a_sequence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = write_tiny_dataset(tmp_path / "data", train=1)
    sequence = broken / "train" / "train_00" / "event_representations_v2" / REPR_NAME
    (sequence / "objframe_idx_2_repr_idx.npy").unlink()
    assert "objframe_idx_2_repr_idx.npy" in failure(capsys, "train.py", *train_arguments(broken, tmp_path / "run"))


def test_wrong_frame_size(capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path) -> None:
    message = failure(capsys, "train.py", *train_arguments(dataset, tmp_path / "run", "dataset.sensor_hw=[96,96]"))
    assert "sensor_hw" in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="the message is for machines without a GPU")
def test_no_gpu_names_the_override(capsys: pytest.CaptureFixture[str]) -> None:
    seed_command = (
        "model=rnndet", "hardware.gpus=0", "dataset=gen1x0.01_ss", "+experiment/gen1=small.yaml",
        "training.max_steps=200000",
    )  # fmt: skip
    assert "hardware.accelerator=cpu" in failure(capsys, "train.py", *seed_command)


@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_steps_that_are_no_count(capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path, value: str) -> None:
    arguments = [a for a in train_arguments(dataset, tmp_path / "run") if not a.startswith("training.max_steps")]
    assert "training.max_steps" in failure(capsys, "train.py", *arguments, f"training.max_steps={value}")


def test_checkpoint_mistakes(capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path) -> None:
    evaluate = (*SMALL, f"dataset.path={dataset}")
    assert "checkpoint=FILE" in failure(capsys, "val.py", *evaluate)
    assert "no such file" in failure(capsys, "val.py", *evaluate, f"checkpoint={tmp_path / 'none.ckpt'}")
    weights = tmp_path / "weights.ckpt"
    torch.save({"state_dict": {"mdl.x": torch.zeros(1)}}, weights)
    arguments = train_arguments(dataset, tmp_path / "run", f"checkpoint={weights}")
    assert "weight=FILE" in failure(capsys, "train.py", *arguments)
    noise = tmp_path / "noise.ckpt"
    noise.write_bytes(np.random.default_rng(0).bytes(1000))
    assert str(noise) in failure(capsys, "val.py", *evaluate, f"checkpoint={noise}")


def test_checkpoint_of_another_size(capsys: pytest.CaptureFixture[str], dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run("train.py", *train_arguments(dataset, out)) == 0
    message = failure(
        capsys, "val.py", *SMALL, f"dataset.path={dataset}", f"checkpoint={out / 'last.ckpt'}",
        "model.backbone.embed_dim=32",
    )  # fmt: skip
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
