"""Dependent steps as real SLURM jobs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import REPOSITORY
from tests.helpers.slurm.slurm_cluster import MiniCluster
from utils.jobs.slurm_steps import submit_steps
from utils.jobs.steps import Step

pytestmark = pytest.mark.slurm

WRITE = """
import pathlib, sys
target, *sources = map(pathlib.Path, sys.argv[1:])
target.write_text("".join(source.read_text() for source in sources) + "x")
"""


def test_steps_wait_for_each_other_and_go_on_after_a_failure(
    cluster: MiniCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, cluster.environment[name])

    def step(name: str, *needs: str) -> Step:
        places = [str(tmp_path / name), *(str(tmp_path / need) for need in needs)]
        return Step(name, (sys.executable, "-c", WRITE, *places), tmp_path / name, needs)

    broken = Step("c", (sys.executable, "-c", "raise SystemExit(3)"), tmp_path / "c", ("a",))
    last = step("d", "b", "c")

    def submit(*steps: Step) -> dict[str, str]:
        return submit_steps(
            steps,
            log_dir=tmp_path / "logs",
            jobs_file=tmp_path / "jobs.json",
            script=REPOSITORY / "scripts" / "slurm" / "step.sbatch",
            options=lambda step: ["--ntasks=1", f"--comment={step.name}"],
        )

    first = submit(step("a"), step("b", "a"), broken, last)
    assert list(first) == ["a", "b", "c", "d"]
    assert json.loads((tmp_path / "jobs.json").read_text()) == first
    cluster.wait_until(first["b"], "COMPLETED")
    cluster.wait_until(first["c"], "FAILED")
    cluster.wait_until(first["d"], "CANCELLED")  # what needs a failed step never starts
    assert (tmp_path / "b").read_text() == "xx"

    blocked = Step("c", (sys.executable, "-c", "import time; time.sleep(300)"), tmp_path / "c", ("a",))
    second = submit(step("a"), step("b", "a"), blocked, last)
    assert list(second) == ["c", "d"], "finished steps are not run again"
    assert submit(step("a"), step("b", "a"), blocked, last) == second, "nor those under way"
    cluster.run("scancel", *second.values())
    third = submit(step("a"), step("b", "a"), step("c", "a"), last)
    cluster.wait_until(third["d"], "COMPLETED")
    assert (tmp_path / "d").read_text() == "xxxxx"
    assert (tmp_path / "logs" / "d.log").exists()
