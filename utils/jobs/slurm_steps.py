"""Dependent commands as jobs of SLURM, each waiting for those it needs and skipped when its result is there."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from utils.atomic import write_json
from utils.errors import UserError
from utils.jobs.slurm import SlurmJob, without_slurm
from utils.jobs.steps import Step
from utils.json_files import read_json

log = logging.getLogger(__name__)

_PATIENCE = 60
"""Times that a job which is just ending is asked about, half a second apart."""
_WAITING = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "REQUEUED", "STOPPED")


def submit_steps(
    steps: Sequence[Step],
    *,
    log_dir: Path,
    jobs_file: Path,
    script: Path,
    options: Callable[[Step], Sequence[str]],
) -> dict[str, str]:
    """Submit what is missing.

    A step whose job of an earlier call is still queued or running is not submitted a second time. When a step fails,
    SLURM takes the jobs that need it out of the queue; the same call again then submits what is missing.

    Args:
        steps: with needs among themselves, those that are needed first.
        log_dir: gets ``<name>.log`` of every step that runs.
        jobs_file: remembers the jobs (JSON: name of the step to number of the job).
        script: batch script that takes its own folder and a command.
        options: of sbatch, for a step.

    Returns:
        numbers of the jobs by name of the step, for steps that are not done.

    Raises:
        UserError: sbatch refuses a job, or there is no SLURM; jobs submitted before it stay and are remembered.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    known: dict[str, str] = {}
    if jobs_file.exists():
        fix = "see with squeue whether jobs of this experiment wait or run, then remove the file"
        known = read_json(jobs_file, {...: str}, expected="the jobs of an earlier call", fix=fix)
    jobs: dict[str, str] = {}
    for step in steps:
        under_way = not step.why_done() and step.name in known and _under_way(SlurmJob(known[step.name]))
        if step.why_done():
            log.info("%s: %s", step.name, step.why_done())
            continue
        if under_way:
            jobs[step.name] = known[step.name]
            log.info("%s: job %s is under way", step.name, known[step.name])
            continue
        needed = [jobs[name] for name in step.needs if name in jobs]
        waits = [f"--dependency=afterok:{':'.join(needed)}", "--kill-on-invalid-dep=yes"] if needed else []
        log_file = log_dir / f"{step.name}.log"
        places = [f"--job-name={step.name}", f"--output={log_file.absolute()}", f"--chdir={Path.cwd()}"]
        job = _submit([*places, *waits, *options(step), str(script), str(script.parent), *step.command], step.name)
        jobs[step.name] = known[step.name] = job
        write_json(jobs_file, known)
        log.info("%s: job %s%s, log in %s", step.name, job, f" after {', '.join(needed)}" if needed else "", log_file)
    return jobs


def _under_way(job: SlurmJob) -> bool:
    """Whether a job waits or runs. How one that is just ending ends, SLURM tells afterwards: that is waited for."""
    state, left = job.facts().get("JobState"), _PATIENCE
    while state == "COMPLETING" and left:
        time.sleep(0.5)
        state, left = job.facts().get("JobState"), left - 1
    return state in _WAITING


def _submit(arguments: Sequence[str], name: str) -> str:
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=without_slurm(os.environ),
        )
    except OSError as error:
        raise UserError(
            expected="SLURM's sbatch on this machine",
            got=str(error.strerror),
            where="cluster=slurm",
            fix="start the command where jobs are submitted, or run the steps here: cluster=null",
        ) from error
    if done.returncode != 0:
        raise UserError(
            expected="a job that SLURM accepts",
            got=done.stderr.strip() or f"exit status {done.returncode}",
            where=f"step '{name}'",
            fix="change slurm.options.* or slurm.train_options.*, then start the same command again",
        )
    return done.stdout.strip().partition(";")[0]
