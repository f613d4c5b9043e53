"""Jobs of a SLURM that is a script: what is asked of it in which state. Real jobs are in tests/slurm."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import utils.jobs.slurm
from utils.jobs.slurm import SlurmJob, current_job, leave_job

SCONTROL = """#!{python}
import pathlib, sys
folder = pathlib.Path({folder!r})
with open(folder / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + chr(10))
if sys.argv[1] == "requeue":
    if (folder / "refuse").exists():
        sys.exit("scontrol: error: Requested operation is presently disabled")
    (folder / "facts").write_text("JobId=12 JobState=COMPLETING Requeue=1 BatchFlag=1")
elif (folder / "facts").exists():
    print((folder / "facts").read_text())
else:
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with a scontrol that tells ``facts`` and writes ``calls``; nothing waits."""
    program = tmp_path / "scontrol"
    program.write_text(SCONTROL.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(utils.jobs.slurm, "_POLL_S", 0.0)
    return tmp_path


def _calls(slurm: Path) -> list[str]:
    return (slurm / "calls").read_text().splitlines()


def test_a_running_job_is_queued_again_by_its_first_process(slurm: Path) -> None:
    (slurm / "facts").write_text("JobId=12 JobState=RUNNING Requeue=1 BatchFlag=1")
    leave_job(SlurmJob("12_3"))
    assert _calls(slurm).count("requeue 12_3") == 1
    assert _calls(slurm)[-1] == "show job --oneliner 12_3", "it waits until the job is ended"


def test_other_processes_only_wait(slurm: Path) -> None:
    (slurm / "facts").write_text("JobId=12 JobState=RUNNING Requeue=1 BatchFlag=1")
    leave_job(SlurmJob("12", rank=1), limit_s=0.0)
    assert "requeue 12" not in _calls(slurm)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ("JobId=12 JobState=COMPLETING Requeue=1 BatchFlag=1", "COMPLETING"),
        ("JobId=12 JobState=RUNNING Requeue=0 BatchFlag=1", "--no-requeue"),
        ("JobId=12 JobState=RUNNING Requeue=1 BatchFlag=0", "no batch job"),
        (None, "does not answer"),
    ],
)
def test_a_job_that_is_not_to_be_queued_again(
    slurm: Path, facts: str | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    if facts is not None:
        (slurm / "facts").write_text(facts)
    leave_job(SlurmJob("12"))
    assert reason in caplog.text
    assert "requeue 12" not in _calls(slurm)


@pytest.mark.parametrize(
    ("preempted", "tasks", "terminated", "again"),
    [("None", 2, True, 0), ("2025-01-01T00:00:00", 2, True, 1), ("None", 2, False, 1), ("None", 1, True, 1)],
    ids=["a task failed", "preempted", "its time limit is near", "it has no other task"],
)
def test_why_a_task_is_to_stop(
    slurm: Path, preempted: str, tasks: int, terminated: bool, again: int, caplog: pytest.LogCaptureFixture
) -> None:
    (slurm / "facts").write_text(f"JobId=12 JobState=RUNNING Requeue=1 BatchFlag=1 PreemptTime={preempted}")
    leave_job(SlurmJob("12", tasks=tasks), terminated)
    assert _calls(slurm).count("requeue 12") == again
    assert ("another of its tasks failed" in caplog.text) == (not again)


def test_slurm_refuses(slurm: Path, caplog: pytest.LogCaptureFixture) -> None:
    (slurm / "facts").write_text("JobId=12 JobState=RUNNING Requeue=1 BatchFlag=1")
    (slurm / "refuse").touch()
    leave_job(SlurmJob("12"))
    assert "presently disabled" in caplog.text


def test_without_scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(utils.jobs.slurm, "_POLL_S", 0.0)
    leave_job(SlurmJob("12"))
    assert "does not answer" in caplog.text


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "12"}, SlurmJob("12")),
        ({"SLURM_JOB_ID": "12", "SLURM_JOB_NAME": "interactive"}, None),
        ({"SLURM_JOB_ID": "12; true"}, None),
        ({"SLURM_JOB_ID": "12", "SLURM_PROCID": "3", "SLURM_RESTART_COUNT": "2"}, SlurmJob("12", 3, 2)),
        ({"SLURM_JOB_ID": "12", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"}, SlurmJob("12", 1, tasks=4)),
    ],
)
def test_which_job(environment: dict[str, str], expected: SlurmJob | None) -> None:
    assert current_job(environment) == expected
