"""Real SLURM jobs: preempted, at their time limit, cancelled, finished; they end with what undisturbed runs leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import REPOSITORY
from tests.slurm.mini_cluster import MiniCluster
from tests.stopping import TINY, everything, train
from tests.tiny import write_tiny_dataset

pytestmark = pytest.mark.slurm

ONE = (*TINY, "training.max_steps=40", "validation.val_check_interval=20", "hardware.num_workers.train=1")
TWO = (*TINY, "training.max_steps=14", "validation.val_check_interval=4", "hardware.num_workers.train=1")
ON_CPU = ("--gres=none", "--cpus-per-task=1")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data"), train=2, val=1, test=0)


class Job:
    """A job under way."""

    def __init__(
        self, cluster: MiniCluster, folder: Path, *options: str, script: str, arguments: tuple[str, ...]
    ) -> None:
        self.cluster, self.folder = cluster, folder
        self.output = folder / "run"
        self.log_file = folder / "job.log"
        place = f"--chdir={REPOSITORY}"
        self.id = cluster.submit(place, f"--output={self.log_file}", "--open-mode=append", *options, script, *arguments)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_for_checkpoint(self) -> None:
        """Until training is under way."""

        def begun() -> bool:
            assert self.cluster.facts(self.id)["JobState"] in ("PENDING", "RUNNING"), self.log()
            return (self.output / "last.ckpt").exists()

        self.cluster.wait_for(begun, "the first checkpoint")

    def finish(self, restarts: int) -> None:
        """Until the job has ended well after so many restarts."""
        facts = self.cluster.wait_until(self.id, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", restarts=restarts)
        assert (facts["JobState"], facts["Restarts"]) == ("COMPLETED", str(restarts)), self.log()


@pytest.fixture(scope="module")
def uneven(cluster: MiniCluster, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Two processes, the second one slow; begun here so that the other tests run meanwhile."""
    folder = tmp_path_factory.mktemp("two")
    script = folder / "uneven.sbatch"
    script.write_text(
        '#!/bin/bash\nsource scripts/slurm/common.sh\nrun_tasks "$PYTHON" tests/slurm/uneven_train.py "$@"\n'
    )
    settings = (*TWO, f"dataset.path={dataset}", f"output.dir={folder / 'run'}", "hardware.num_processes=2")
    options = ("--partition=high", "--ntasks-per-node=2", "--signal=USR1@600")
    return Job(cluster, folder, *options, script=str(script), arguments=settings)


def test_preempted(uneven: Job, cluster: MiniCluster, dataset: Path, tmp_path: Path) -> None:
    settings = (*ONE, f"dataset.path={dataset}")
    arguments = (*settings, f"output.dir={tmp_path / 'run'}")
    job = Job(cluster, tmp_path, *ON_CPU, script="scripts/slurm/train.sbatch", arguments=arguments)
    job.wait_for_checkpoint()
    urgent = cluster.submit("--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap=sleep 1")
    assert train(tmp_path / "undisturbed", *settings) == 0
    job.finish(restarts=1)
    assert cluster.facts(urgent)["JobState"] == "COMPLETED"
    assert "stopped by SIGTERM after step" in job.log()
    assert everything(job.output) == everything(tmp_path / "undisturbed")
    assert not list(tmp_path.rglob("hpc_ckpt*"))

    # Queued again by mistake, or because its node failed: a finished job has nothing to do.
    written = (job.output / "last.ckpt").stat().st_mtime_ns
    cluster.run("scontrol", "requeue", job.id)
    job.finish(restarts=2)
    assert "this run is done; nothing to do" in job.log()
    assert (job.output / "last.ckpt").stat().st_mtime_ns == written


def test_time_limit_with_two_uneven_processes(uneven: Job, cluster: MiniCluster, dataset: Path, tmp_path: Path) -> None:
    uneven.wait_for_checkpoint()
    # A limit ten minutes away at most: SLURM warns when it looks next, which it does every half a minute.
    hours, minutes, _ = cluster.facts(uneven.id)["RunTime"].split(":")
    cluster.run("scontrol", "update", f"JobId={uneven.id}", f"TimeLimit={60 * int(hours) + int(minutes) + 10}")
    cluster.wait_until(uneven.id, "PENDING", restarts=1)
    cluster.run("scontrol", "update", f"JobId={uneven.id}", "TimeLimit=UNLIMITED")
    assert train(tmp_path, *TWO, f"dataset.path={dataset}", world=2) == 0
    uneven.finish(restarts=1)
    assert "stopped by SIGUSR1" in uneven.log()
    assert everything(uneven.output) == everything(tmp_path)


def test_a_command_without_state(cluster: MiniCluster, tmp_path: Path) -> None:
    program = tmp_path / "sleeper.py"
    program.write_text(
        f"import sys, time\nsys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from utils.cli import run_command\n"
        "run_command(lambda: (print('ready', flush=True), time.sleep(300)))\n"
    )
    script = tmp_path / "sleeper.sbatch"
    script.write_text(f'#!/bin/bash\nsource scripts/slurm/common.sh\nrun_tasks "$PYTHON" {program}\n')
    job = Job(cluster, tmp_path, "--requeue", script=str(script), arguments=())
    cluster.wait_for(lambda: "ready" in job.log(), "the program")
    cluster.run("scancel", "--signal=USR1", job.id)
    cluster.wait_for(lambda: job.log().count("ready") == 2, "the program again")
    # What the user cancels stays cancelled.
    cluster.run("scancel", job.id)
    facts = cluster.wait_until(job.id, "CANCELLED", "PENDING", "RUNNING", "COMPLETED")
    assert (facts["JobState"], facts["Restarts"]) == ("CANCELLED", "1"), job.log()
