"""Configuration runs nothing: which parts of a command line and which files are refused before anything is composed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.bad_inputs import command
from utils.commands.cli import CONFIG_DIR
from utils.commands.config_code import refuse_code
from utils.errors import UserError

CALLBACK = "hydra:\n  callbacks:\n    mine: {_target_: os.mkdir, path: MARK}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "good.yaml").write_text("defaults: [synthetic, _self_]\nname: good\n")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "+hydra.callbacks.x._target_=os.system",
        "++hydra.job_logging.version=1",
        "hydra.run.dir=/tmp/x",
        "hydra/job_logging=colorlog",
        "~hydra.sweep",
        "hydra.launcher._target_=os.system",
        "hydra.launcher.additional_parameters={_target_:os.system}",
        "hydra.launcher.name=\"${oc.create:'{_target_: os.system}'}\"",
        "+anything._target_=os.system",
        "+anything={a:[{_target_:os.system}]}",
        "+anything={_target_:a},{_target_:b}",
        "dataset@hydra.callbacks.x=gen1",
        "dataset@_global_.hydra.callbacks.x=gen1",
        "dataset=../../elsewhere/mine",
        "hydra.searchpath=[pkg://somebody.configs]",
        "--experimental-rerun=job.pickle",
        "--config-path=/elsewhere",
        "--config-name=../elsewhere",
    ],
)
def test_what_a_command_line_may_not_say(text: str) -> None:
    with pytest.raises(UserError, match="nothing that could make Hydra run code"):
        refuse_code(["training.max_steps=1", text], CONFIG_DIR)


@pytest.mark.parametrize(
    "text",
    [
        "hydra/launcher=slurm",
        "hydra.launcher.partition=gpu",
        "hydra.launcher.additional_parameters={requeue:true}",
        "hydra.sweep.dir=/tmp/sweep",
        "hydra.verbose=true",
        "checkpoint=../runs/last.ckpt",
        "dataset.path=/data/my_target_set",
        "wandb.project_name=${dataset.name}",
        "dataset=gen1,gen4",
        "--multirun",
        "--cfg=job",
        "no override at all",
    ],
)
def test_what_it_may(text: str, folder: Path) -> None:
    refuse_code(["training.max_steps=1", text], CONFIG_DIR)
    refuse_code([f"--config-dir={folder}", f"hydra.searchpath=[file://{folder},{folder}]", text], CONFIG_DIR)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset/mine.yaml", "# @package _global_\n" + CALLBACK),
        ("dataset/mine.yaml", "# @package hydra.callbacks.mine\n_target_: os.mkdir\n"),
        ("dataset/mine.yaml", "# @package _global_.hydra.job\nname: x\n"),
        ("dataset/mine.yaml", "name: x\nmore: [{a: {_target_: os.mkdir}}]\n"),
        ("dataset/mine.yaml", "defaults: [override /hydra/launcher: slurm]\n"),
        ("dataset/mine.yaml", "defaults:\n  - gen1@hydra.callbacks.x\n"),
        ("dataset/mine.yaml", "defaults:\n  - ../../elsewhere\n"),
        ("hydra/launcher/mine.yaml", "name: x\n"),
        ("dataset/hydra.yaml", "# @package _name_\nname: x\n"),
        ("mine.yaml", CALLBACK),
    ],
)
def test_what_a_file_may_not_hold(folder: Path, name: str, content: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    for given in ([f"--config-dir={folder}"], [f"hydra.searchpath=[file://{folder}]"]):
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            refuse_code([*given, "dataset=good"], CONFIG_DIR)


def test_files_behind_links_are_looked_at(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mine.yaml").write_text(CALLBACK)
    (folder / "model").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(folder)
    with pytest.raises(UserError, match=r"model/mine\.yaml"):
        refuse_code([f"--config-dir={folder}"], CONFIG_DIR)


def test_a_dataset_makes_hydra_call_nothing(folder: Path) -> None:
    mark = folder / "ran"
    text = "# @package _global_\n" + CALLBACK.replace("MARK", str(mark))
    (folder / "dataset" / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=r"dataset/mine\.yaml"):
        command("scripts/make_splits.py", "--config-dir", folder, "dataset=mine", f"output={folder}/s.json")
    assert not mark.exists()
