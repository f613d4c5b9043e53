"""Real SLURM jobs of one task: preempted, cancelled, finished; they end with what undisturbed runs leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.commands import REPOSITORY
from tests.helpers.made_once import MadeOnce
from tests.helpers.slurm.slurm_cluster import MiniCluster
from tests.helpers.slurm.slurm_job import Job, script_of
from tests.helpers.stopped_training import LONG, TINY, Undisturbed, everything

pytestmark = pytest.mark.slurm

ON_CPU = ("--gres=none", "--cpus-per-task=1")


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=2)


def test_preempted_training_of_one_task(
    cluster: MiniCluster, made_once: MadeOnce, dataset: Path, tmp_path: Path
) -> None:
    settings = (*TINY, *LONG, "hardware.num_workers.train=1", f"dataset.path={dataset}")
    arguments = (*settings, f"output.dir={tmp_path / 'run'}")
    job = Job(cluster, tmp_path, *ON_CPU, script="scripts/slurm/train.sbatch", arguments=arguments)
    job.wait_for_checkpoint()
    urgent = cluster.submit_urgent()
    undisturbed = Undisturbed(made_once, dataset)(1, *LONG)
    job.finish(restarts=1)
    assert cluster.facts(urgent)["JobState"] == "COMPLETED"
    assert "stopped by SIGTERM after step" in job.log()
    assert everything(job.output) == undisturbed
    assert not list(tmp_path.rglob("hpc_ckpt*"))

    # Queued again by mistake, or because its node failed: a finished job has nothing to do.
    written = (job.output / "last.ckpt").stat().st_mtime_ns
    cluster.run("scontrol", "requeue", job.id)
    job.finish(restarts=2)
    assert "this run is done; nothing to do" in job.log()
    assert (job.output / "last.ckpt").stat().st_mtime_ns == written


def test_a_command_without_state(cluster: MiniCluster, tmp_path: Path) -> None:
    program = tmp_path / "sleeper.py"
    program.write_text(
        f"import sys, time\nsys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from utils.commands.cli import run_command\n"
        "run_command(lambda: (print('ready', flush=True), time.sleep(300)))\n"
    )
    job = Job(cluster, tmp_path, "--requeue", script=script_of(tmp_path, '"$PYTHON"', str(program)))
    cluster.wait_for(lambda: "ready" in job.log(), "the program")
    cluster.run("scancel", "--signal=USR1", job.id)
    cluster.wait_for(lambda: job.log().count("ready") == 2, "the program again")
    # What the user cancels stays cancelled.
    cluster.run("scancel", job.id)
    facts = cluster.wait_until(job.id, "CANCELLED", "PENDING", "RUNNING", "COMPLETED")
    assert (facts["JobState"], facts["Restarts"]) == ("CANCELLED", "1"), job.log()
