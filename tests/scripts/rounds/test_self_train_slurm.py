"""Rounds of self-training as SLURM jobs: what would be submitted, seen by an sbatch that only writes it down."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import failure, run

SBATCH = """#!{python}
import json, pathlib, sys
log = pathlib.Path({log!r})
calls = json.loads(log.read_text()) if log.exists() else []
calls.append(sys.argv[1:])
log.write_text(json.dumps(calls))
print(100 + len(calls))
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File with the arguments of all calls of sbatch; there is no other SLURM on the path."""
    folder, log = tmp_path / "bin", tmp_path / "calls.json"
    folder.mkdir()
    (folder / "sbatch").write_text(SBATCH.format(python=sys.executable, log=str(log)))
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return log


def test_every_step_is_a_job_that_waits_for_those_it_needs(calls: Path, tmp_path: Path) -> None:
    root = tmp_path / "rounds"
    arguments = (f"root={root}", "dataset_path=DATA", "oracle=false", "+slurm.train_options.gres=gpu:4")
    (root / "baseline").mkdir(parents=True)
    (root / "baseline" / "done.json").write_text("{}")
    assert run("scripts/self_train.py", *arguments, "cluster=slurm") == 0
    jobs = {}
    for number, call in enumerate(json.loads(calls.read_text()), 101):
        options = dict(part.removeprefix("--").partition("=")[::2] for part in call if part.startswith("--"))
        jobs[options["job-name"]] = (number, options, call)
    assert "baseline" not in jobs, "it is done"
    assert "dependency" not in jobs["label1"][1]
    assert jobs["round1"][1]["dependency"] == f"afterok:{jobs['label1'][0]}"
    assert jobs["round1"][1]["gres"] == "gpu:4"
    assert jobs["label1"][1]["gres"] == "gpu:1"
    assert jobs["label1"][1]["time"] == "24:00:00"
    assert "partition" not in jobs["label1"][1]
    assert jobs["test_round1"][1]["dependency"] == f"afterok:{jobs['round1'][0]}"
    summary = jobs["summary"]
    assert summary[1]["dependency"].count(":") == len(jobs) - 1, "the table comes after everything"
    assert summary[2][-1] == "cluster=null"
    assert "dataset_path=DATA" in summary[2]
    assert json.loads((root / "jobs.json").read_text()) == {name: str(job[0]) for name, job in jobs.items()}


def test_mistakes(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("rounds=1", "control=false", "oracle=false")  # each command is composed before
    arguments = (f"root={tmp_path / 'rounds'}", "dataset_path=DATA", *few)
    assert "slurm or null" in failure(capsys, "scripts/self_train.py", *arguments, "cluster=pbs")
    sbatch = Path(os.environ["PATH"]) / "sbatch"
    sbatch.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('invalid partition specified: x')\n")
    message = failure(capsys, "scripts/self_train.py", *arguments, "cluster=slurm")
    assert "invalid partition specified: x" in message
    assert "slurm.options" in message
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "cluster=null" in failure(capsys, "scripts/self_train.py", *arguments, "cluster=slurm")
