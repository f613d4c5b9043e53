"""The SLURM job this process belongs to: which, in what state, and how to queue it again."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

_TIMEOUT_S = 60.0
_TRIES = 3
_POLL_S = 2.0


@dataclass(frozen=True)
class SlurmJob:
    """A batch job of SLURM.

    Args:
        id: as scontrol takes it; ``12_3`` for a task of an array (``12`` alone would mean the whole array).
        rank: number of this process among the job's tasks.
        restarts: how often the job was queued again.
        tasks: how many such processes srun started.
    """

    id: str
    rank: int = 0
    restarts: int = 0
    tasks: int = 1

    def facts(self) -> dict[str, str]:
        """What SLURM says of the job (``JobState``, ``Requeue``, ``BatchFlag``, ...); empty when it does not answer."""
        done = _run(["scontrol", "show", "job", "--oneliner", self.id])
        text = done.stdout if done is not None and done.returncode == 0 else ""
        return dict(re.findall(r"(?:^|\s)(\w+)=(\S*)", text.partition("\n")[0]))

    def can_requeue(self, terminated: bool = False) -> bool:
        """Whether queueing the job again is for us to do and SLURM would do it; if not, the reason is logged.

        A job that is not running any more was cancelled by its user, or SLURM queues it again by itself.

        Args:
            terminated: SIGTERM asked for it. srun sends it, too, to the other tasks when one fails, and a job that
                fails is not to start again and again.
        """
        facts = next((facts for facts in map(self._facts_later, range(_TRIES)) if facts), {})
        state = facts.get("JobState")
        if state is None:
            reason = "SLURM does not answer"
        elif state != "RUNNING":
            reason = f"SLURM is ending it ({state})"
        elif facts.get("BatchFlag") == "0":
            reason = "it is no batch job"
        elif facts.get("Requeue") == "0":
            reason = "it was submitted with --no-requeue"
        elif terminated and self.tasks > 1 and facts.get("PreemptTime") == "None":
            reason = "SLURM does not preempt it; another of its tasks failed"
        else:
            return True
        if self.rank == 0:
            log.warning("job %s is not queued again: %s", self.id, reason)
        return False

    def _facts_later(self, attempt: int) -> dict[str, str]:
        time.sleep(_POLL_S * attempt)
        return self.facts()

    def requeue(self) -> bool:
        """Queue the job again, which also ends it; False when SLURM refuses (the reason is logged)."""
        for attempt in range(_TRIES):
            time.sleep(_POLL_S * attempt)
            done = _run(["scontrol", "requeue", self.id])
            if done is not None and done.returncode == 0:
                log.info("job %s: queued again", self.id)
                return True
            reason = "scontrol cannot be run" if done is None else done.stderr.strip()
            log.error("job %s: scontrol requeue failed: %s", self.id, reason)
        return False

    def wait_to_be_ended(self, limit_s: float) -> None:
        """Sleep until SLURM ends the job.

        A preempted task that ends by itself counts as finished and would never be queued again, so nothing may end
        before SLURM says that the job is no longer running.
        """
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self.facts().get("JobState", "RUNNING") != "RUNNING":
                return
            time.sleep(_POLL_S)
        log.error("job %s was not ended within %.0f s", self.id, limit_s)


def current_job(environment: Mapping[str, str] = os.environ) -> SlurmJob | None:
    """The batch job of this process; None outside SLURM, in an interactive one, and in steps of a program of ours.

    >>> current_job({"SLURM_JOB_ID": "15", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"})
    SlurmJob(id='12_3', rank=0, restarts=0, tasks=1)
    >>> current_job({}) is None
    True
    """
    job = environment.get("SLURM_JOB_ID", "")
    if environment.get("SLURM_ARRAY_JOB_ID"):
        job = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment.get('SLURM_ARRAY_TASK_ID', '')}"
    if not re.fullmatch(r"\d+(_\d+)?", job) or environment.get("SLURM_JOB_NAME") in ("bash", "interactive"):
        return None
    rank, tasks = int(environment.get("SLURM_PROCID", 0)), int(environment.get("SLURM_NTASKS", 1))
    return SlurmJob(job, rank, int(environment.get("SLURM_RESTART_COUNT", 0)), tasks)


def without_slurm(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a command that is to know nothing of the job it is started in.

    >>> without_slurm({"SLURM_JOB_ID": "15", "SLURM_CONF": "/etc/slurm.conf", "HOME": "/root"})
    {'SLURM_CONF': '/etc/slurm.conf', 'HOME': '/root'}
    """
    return {key: value for key, value in environment.items() if not key.startswith("SLURM_") or key == "SLURM_CONF"}


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("%s: %s", command[0], error)
        return None


def leave_job(job: SlurmJob, terminated: bool = False, limit_s: float = 600.0) -> None:
    """Queue a job again and wait to be ended; returns when it is not to be queued again, or nothing ended it.

    Called by every process of the job; the first one asks SLURM, all wait. ``terminated`` as for ``can_requeue``.
    """
    if job.can_requeue(terminated) and (job.rank != 0 or job.requeue()):
        job.wait_to_be_ended(limit_s)
