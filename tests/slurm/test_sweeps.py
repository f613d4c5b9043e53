"""A Hydra sweep as real SLURM jobs, through submitit; asked to stop, a run is queued again once, by itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import REPOSITORY
from tests.helpers.made_once import MadeOnce
from tests.helpers.slurm.slurm_cluster import MiniCluster
from tests.helpers.stopped_training import LONG, TINY, Undisturbed, everything

pytestmark = pytest.mark.slurm


def test_a_run_of_a_sweep_is_preempted(cluster: MiniCluster, made_once: MadeOnce, tmp_path: Path) -> None:
    dataset = made_once.dataset(train=2)
    settings = (*TINY, *LONG, f"dataset.path={dataset}")
    launcher = ("gpus_per_node=null", "cpus_per_task=1", "partition=normal", "timeout_min=60")
    command = (
        *("train.py", "--multirun", "hydra/launcher=slurm", *(f"hydra.launcher.{key}" for key in launcher)),
        *(*settings, "hardware.accelerator=cpu", f"output.root={tmp_path}", "reproduce.seed_everything=0"),
    )
    environment = cluster.environment | {"OMP_NUM_THREADS": "1"}
    said = tmp_path / "sweep.txt"
    with open(said, "wb") as output:
        sweep = subprocess.Popen(
            [sys.executable, *command], cwd=REPOSITORY, env=environment, stdout=output, stderr=output
        )

    def logs() -> str:
        return "".join(path.read_text() for path in [said, *sorted(tmp_path.glob("sweeps/**/*.out"))])

    def begun() -> bool:
        assert sweep.poll() is None, logs()
        return bool(list(tmp_path.glob("rvt-*/last.ckpt")))

    try:
        cluster.wait_for(begun, "training")
        (run,) = tmp_path.glob("rvt-*")
        (script,) = tmp_path.glob("sweeps/*/*/*_submission.sh")
        assert re.search(r"--signal=USR2@300", script.read_text())
        job = cluster.run("squeue", "--noheader", "--name=train", "--format=%A").strip()
        cluster.run("scancel", "--signal=USR2", job)
        facts = cluster.wait_until(job, "COMPLETED", "FAILED", "CANCELLED", restarts=1)
        assert (facts["JobState"], facts["Restarts"]) == ("COMPLETED", "1"), logs()
        assert "stopped by SIGUSR2 after step" in logs()
        assert sweep.wait(60) == 0, logs()
    finally:
        sweep.kill()
        sweep.wait()
    assert everything(run) == Undisturbed(made_once, dataset)(1, *LONG)
