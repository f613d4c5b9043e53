"""A job under way on the mini cluster, with a run folder and a log of its own."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.commands import REPOSITORY
from tests.helpers.slurm.slurm_cluster import MiniCluster

ENDS = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")


class Job:
    """Submits a script from the repository's folder.

    Args:
        cluster: where.
        folder: an existing one; the job's log goes there, and ``folder/run`` is for what its program writes.
        options: of sbatch.
        script: a path, from the repository's folder.
        arguments: of the script.
    """

    def __init__(
        self, cluster: MiniCluster, folder: Path, *options: str, script: str, arguments: tuple[str, ...] = ()
    ) -> None:
        self.cluster = cluster
        self.output = folder / "run"
        self.log_file = folder / "job.log"
        place = f"--chdir={REPOSITORY}"
        self.id = cluster.submit(place, f"--output={self.log_file}", "--open-mode=append", *options, script, *arguments)

    def log(self) -> str:
        """What the job has said so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_for_checkpoint(self) -> None:
        """Until training is under way."""

        def begun() -> bool:
            assert self.cluster.facts(self.id)["JobState"] in ("PENDING", "RUNNING"), self.log()
            return (self.output / "last.ckpt").exists()

        self.cluster.wait_for(begun, "the first checkpoint")

    def finish(self, restarts: int, state: str = "COMPLETED") -> None:
        """Until the job has ended, as it should, after so many restarts."""
        facts = self.cluster.wait_until(self.id, *ENDS, restarts=restarts)
        assert (facts["JobState"], facts["Restarts"]) == (state, str(restarts)), self.log()


def script_of(folder: Path, *command: str) -> str:
    """Write a job script that runs a command in all tasks as those of ``scripts/slurm`` do; returns its path."""
    script = folder / "job.sbatch"
    script.write_text(f'#!/bin/bash\nsource scripts/slurm/common.sh\nrun_tasks {" ".join(command)} "$@"\n')
    return str(script)
