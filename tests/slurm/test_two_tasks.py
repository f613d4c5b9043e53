"""Real SLURM jobs of two uneven tasks: preempted, at their time limit, and with a task that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.commands import REPOSITORY
from tests.helpers.made_once import MadeOnce
from tests.helpers.slurm.slurm_cluster import MiniCluster
from tests.helpers.slurm.slurm_job import Job, script_of
from tests.helpers.stopped_training import TINY, everything, train

pytestmark = pytest.mark.slurm

TRAINING = (*TINY, "training.max_steps=14", "validation.val_check_interval=4", "hardware.num_workers.train=1")
TWO_TASKS = "--ntasks-per-node=2"

FAILS = """
import os, pathlib, sys, time
sys.path.insert(0, {repository!r})
from utils.commands.cli import run_command
handles_signals, ready = sys.argv[1] == "True", pathlib.Path(sys.argv[2])
def work():
    ready.touch()
    time.sleep(600)
if os.environ["SLURM_PROCID"] == "0":
    run_command(work) if handles_signals else work()
while not ready.exists():
    time.sleep(0.1)
sys.exit(3)
"""
"""The second task fails while the first one works."""


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=2)


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What two processes leave that nothing stops."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert train(folder, *TRAINING, f"dataset.path={dataset}", world=2) == 0
    return everything(folder)


@contextmanager
def uneven(cluster: MiniCluster, dataset: Path, folder: Path, *options: str) -> Iterator[Job]:
    """Two processes, the second one slow; it awaits a signal with the first one in mid-step. Cancelled at the end."""
    settings = (*TRAINING, f"dataset.path={dataset}", f"output.dir={folder / 'run'}", "hardware.num_processes=2")
    script = script_of(folder, '"$PYTHON"', "tests/helpers/slurm/uneven_train.py")
    job = Job(cluster, folder, TWO_TASKS, *options, script=script, arguments=settings)
    try:
        job.wait_for_checkpoint()
        yield job
    finally:
        cluster.run("scancel", job.id, check=False)


@pytest.mark.soak
def test_time_limit_of_two_uneven_tasks(
    undisturbed: dict[str, str], cluster: MiniCluster, dataset: Path, tmp_path: Path
) -> None:
    with uneven(cluster, dataset, tmp_path, "--signal=USR1@600") as job:
        # A limit ten minutes away at most: SLURM warns when it looks next, which it does every half a minute.
        hours, minutes, _ = cluster.facts(job.id)["RunTime"].split(":")
        cluster.run("scontrol", "update", f"JobId={job.id}", f"TimeLimit={60 * int(hours) + int(minutes) + 10}")
        cluster.wait_until(job.id, "PENDING", restarts=1)
        cluster.run("scontrol", "update", f"JobId={job.id}", "TimeLimit=UNLIMITED")
        job.finish(restarts=1)
    assert "stopped by SIGUSR1" in job.log()
    assert everything(job.output) == undisturbed


def test_preempted_training_of_two_uneven_tasks(
    undisturbed: dict[str, str], cluster: MiniCluster, dataset: Path, tmp_path: Path
) -> None:
    with uneven(cluster, dataset, tmp_path) as job:
        urgent = cluster.submit_urgent()
        job.finish(restarts=1)
    assert cluster.facts(urgent)["JobState"] == "COMPLETED"
    assert "stopped by SIGTERM after step" in job.log()
    assert everything(job.output) == undisturbed


@pytest.mark.parametrize("handles_signals", [True, False], ids=["the other works", "the other starts"])
def test_a_task_that_fails_ends_the_job(cluster: MiniCluster, tmp_path: Path, handles_signals: bool) -> None:
    program = tmp_path / "fails.py"
    program.write_text(FAILS.format(repository=str(REPOSITORY)))
    script = script_of(tmp_path, '"$PYTHON"', str(program), str(handles_signals), str(tmp_path / "ready"))
    # srun sends the other task SIGTERM, as preemption does: the job is not to start, and fail, again and again.
    Job(cluster, tmp_path, TWO_TASKS, "--requeue", script=script).finish(restarts=0, state="FAILED")


@pytest.mark.parametrize("tasks", [1, 2])
def test_several_tasks_meet_at_a_free_port(cluster: MiniCluster, tmp_path: Path, tasks: int) -> None:
    script = script_of(tmp_path, "bash", "-c", "'echo port ${MASTER_PORT:-none}'")
    job = Job(cluster, tmp_path, f"--ntasks-per-node={tasks}", script=script)
    job.finish(restarts=0)
    said = job.log().splitlines()
    assert len(said) == tasks
    assert said == ["port none"] if tasks == 1 else 15000 <= int(said[0].split()[1]) < 25000 and len(set(said)) == 1
