"""Two processes that train together: how they are started, and how they end together."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from config.compose import compose
from modules.processes.batch_norm import CpuSyncBatchNorm
from modules.processes.hardware import hardware_settings, trainer_hardware
from modules.processes.launcher import PARENT, same_command, watch_parent
from tests.helpers.commands import REPOSITORY, SMALL, failure, run
from tests.helpers.forked_processes import run_together, started_by_slurm, together
from tests.helpers.made_once import MadeOnce
from tests.helpers.warm_python import WarmPython

TWO = ("hardware.accelerator=cpu", "hardware.num_processes=2")

BROKEN_SECOND = f"""
import os, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from modules.data.genx import DataModule
from utils.errors import UserError

def broken(self):
    raise UserError(expected="a whole file", got="half of one", where="the second process", fix="write it again")

if os.environ.get("LOCAL_RANK") == "1":
    DataModule.train_dataloader = broken
from train import main
main()
"""


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset()


def training(dataset: Path, out: Path, *more: str) -> tuple[str, ...]:
    return (*SMALL, f"dataset.path={dataset}", f"output.dir={out}", "hardware.num_workers.eval=0", *more)


def weights(run_folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(run_folder / "last.ckpt", weights_only=True)["state_dict"]


def test_the_same_command_starts_both_processes_and_srun_gives_the_same_weights(
    dataset: Path, tmp_path: Path, warm_python: WarmPython
) -> None:
    arguments = training(dataset, tmp_path / "ours", "training.max_steps=2", *TWO)
    command = [warm_python.executable, "train.py", *arguments]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("trained 2 steps") == 1, "only the first process reports"
    assert json.loads((tmp_path / "ours" / "done.json").read_text())["steps"] == 2

    arguments = training(dataset, tmp_path / "slurm", "training.max_steps=2", *TWO)
    statuses = together(2, tmp_path, run, "train.py", *arguments, environment=started_by_slurm)
    assert statuses == [0, 0], (tmp_path / "rank0.txt").read_text()
    ours, slurm = weights(tmp_path / "ours"), weights(tmp_path / "slurm")
    assert all(torch.equal(ours[name], slurm[name]) for name in ours)


def test_a_mistake_that_only_the_second_process_meets_ends_both_with_one_message(
    dataset: Path, tmp_path: Path, warm_python: WarmPython
) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN_SECOND)
    command = [warm_python.executable, script, *training(dataset, tmp_path / "run", "training.max_steps=2", *TWO)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("expected:") == 1
    assert "half of one" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_mistake_that_both_meet_is_told_once(dataset: Path, tmp_path: Path) -> None:
    arguments = training(dataset, tmp_path / "run", "batch_size.train=40", "dataset.train.sampling=random")
    assert run_together(2, tmp_path, "train.py", *arguments, "hardware.accelerator=cpu") == [2, 2]
    assert "80 samples" in (tmp_path / "rank0.txt").read_text()


def test_a_process_ends_when_the_one_that_started_it_was_killed() -> None:
    reading, writing = os.pipe()  # open as long as one of the two lives
    first = os.fork()
    if first == 0:
        os.environ[PARENT] = str(os.getpid())
        if os.fork() == 0:
            watch_parent()
            os.write(writing, b"1")
        time.sleep(60)
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b"1"
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert select.select([reading], [], [], 30)[0], "the second process goes on"
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_as_many_processes_as_were_started(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in started_by_slurm(0, 2).items():
        monkeypatch.setenv(name, value)
    message = failure(capsys, "train.py", *training(dataset, tmp_path / "run"))
    assert "hardware.num_processes" in message
    assert "started by SLURM" in message


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("hardware.num_processes=0", "a whole number from 1"),
        ("hardware.ddp.gradient_compression=zip", "fp16, bf16 or powersgd"),
        ("hardware.dist_backend=mpi", "nccl or gloo"),
        ("hardware.float32_matmul_precision=low", "highest, high or medium"),
    ],
)
def test_mistakes_in_the_keys(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, told: str
) -> None:
    assert told in failure(capsys, "train.py", *training(dataset, tmp_path / "run", *TWO, override))


@pytest.mark.parametrize("synced", [True, False])
def test_batch_norms_of_all_processes_together_send_no_buffers(synced: bool) -> None:
    config = compose((*SMALL, *TWO, "dataset.path=none", f"hardware.ddp.sync_batchnorm={synced}"))
    arguments, plugins = trainer_hardware(hardware_settings(config))
    assert [type(plugin) for plugin in plugins] == [CpuSyncBatchNorm] * synced
    assert arguments["strategy"]._ddp_kwargs["broadcast_buffers"] is not synced


def test_the_command_of_a_program_and_of_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "dataset=gen1"])
    assert same_command() == [sys.executable, "train.py", "dataset=gen1"]
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        monkeypatch.setattr(sys, "argv", [str(main.__spec__.origin), "-q"])
        assert same_command() == [sys.executable, "-m", main.__spec__.name, "-q"]
