"""Two rounds of self-training as real SLURM jobs, preempted while labelling and while training."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.commands import run
from tests.helpers.forked_steps import forked_steps  # noqa: F401 # a fixture
from tests.helpers.slurm.slurm_cluster import MiniCluster
from tests.helpers.stopped_training import everything
from tests.helpers.tiny_dataset import write_tiny_dataset

pytestmark = pytest.mark.slurm

ROUNDS = (
    "experiment_name=synthetic/demo", "supervised.steps=30", "supervised.learning_rate=0.005",
    "self_training.steps=12", "control=false", "oracle=false", "evaluation.splits=[val]", "labels.train_ratio=0.34",
    "overrides=['dataset.sequence_length=2','batch_size.train=2','batch_size.eval=2','logging.progress_bar=false','logging.report=false']",
    "self_training.overrides=['checkpointing.every_n_steps=2']",
    "labelling.overrides=['model.pseudo_label.obj_thresh=0.01','model.pseudo_label.cls_thresh=0.01']",
)  # fmt: skip
JOBS = ("cluster=slurm", "slurm.options.gres=null", "slurm.options.cpus-per-task=1", "slurm.options.time=null")
KEPT = ("baseline", "evaluation/baseline_val.json", "evaluation/labels_round1.json", "evaluation/round1_val.json")
"""Results of the undisturbed run that the jobs find done, to have fewer of them."""


def labels_of(root: Path, number: int) -> dict[str, bytes]:
    """Bytes of a round's labels; the manifest names the teacher's file, whose bytes tell of restarts."""
    folder = root / f"round{number}_labels"
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != "manifest.json"}


def program_of(cluster: MiniCluster, job: str) -> int:
    """Process of the Python program that a job runs."""
    rows = (line.split() for line in cluster.run("scontrol", "listpids", job).splitlines()[1:])
    for pid in (int(row[0]) for row in rows if int(row[0]) > 0):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[0] == os.fsencode(sys.executable):
            return pid
    raise AssertionError(f"job {job} runs no Python")


@pytest.mark.parametrize("rounds", [1, pytest.param(2, marks=pytest.mark.soak)])
@pytest.mark.usefixtures("forked_steps")
def test_preempted_while_labelling_and_while_training(
    cluster: MiniCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    dataset = write_tiny_dataset(tmp_path / "data", train=4, val=1, test=0)
    root, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    start = (*ROUNDS, f"rounds={rounds}", f"dataset_path={dataset}", f"root={root}")
    assert run("scripts/self_train.py", *start) == 0
    root.rename(undisturbed)
    for name in KEPT:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (undisturbed / name).is_dir() else shutil.copy)(undisturbed / name, root / name)

    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, cluster.environment[name])
    held = [cluster.submit_urgent("--hold") for _ in range(2)]
    assert run("scripts/self_train.py", *start, *JOBS) == 0
    jobs = json.loads((root / "jobs.json").read_text())
    second = ["label2", "quality2", "decide2", "round2", "val_round2"] if rounds == 2 else []
    assert list(jobs) == ["label1", "round1", *second, "summary"]

    def preempt(name: str, begun: Callable[[], object], more_urgent: str) -> None:
        def under_way() -> bool:
            log = root / "logs" / f"{name}.log"
            text = log.read_text(errors="replace") if log.exists() else ""
            assert cluster.facts(jobs[name])["JobState"] in ("PENDING", "RUNNING"), text
            return bool(begun())

        def preempted() -> bool:
            facts = cluster.facts(jobs[name])
            return facts.get("PreemptTime", "None") != "None" or facts["Restarts"] != "0"

        cluster.wait_for(under_way, f"{name} to be in the middle")
        program = program_of(cluster, jobs[name])
        os.kill(program, signal.SIGSTOP)  # it waits there for SLURM, however quick it is
        try:
            cluster.run("scontrol", "release", more_urgent)
            cluster.wait_for(preempted, "the preemption")
        finally:
            with contextlib.suppress(ProcessLookupError):  # SLURM lets go on what it ends
                os.kill(program, signal.SIGCONT)
        facts = cluster.wait_until(jobs[name], "COMPLETED", "FAILED", "CANCELLED", restarts=1)
        assert (facts["JobState"], facts["Restarts"]) == ("COMPLETED", "1")

    labels = root / "round1_labels" / "train"
    preempt("label1", lambda: list(labels.glob(".views/[!.]*")), held[0])
    preempt("round1", (root / "round1" / "last.ckpt").exists, held[1])
    facts = cluster.wait_until(jobs["summary"], "COMPLETED", "FAILED", "CANCELLED")
    assert facts["JobState"] == "COMPLETED", (root / "logs" / "summary.log").read_text()

    for number in range(1, rounds + 1):
        assert labels_of(root, number) == labels_of(undisturbed, number)
    assert everything(root / "round1") == everything(undisturbed / "round1")
    one, other = (json.loads((folder / "summary.json").read_text()) for folder in (root, undisturbed))
    same = ("arms", "pseudo_labels", "decisions", "stopped_before")
    assert {key: one[key] for key in same} == {key: other[key] for key in same}
    assert run("scripts/self_train.py", *start, *JOBS) == 0
    assert json.loads((root / "jobs.json").read_text()) == jobs, "nothing is left to do"
