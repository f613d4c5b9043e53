"""Work that several real SLURM jobs, or several tasks of one, share: preprocessing, evaluation, labelling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.preprocessing.manifest import MANIFEST
from tests.helpers.commands import REPOSITORY, SMALL, run
from tests.helpers.made_once import MadeOnce
from tests.helpers.recordings.raw_recordings import content, make_raw
from tests.helpers.slurm.slurm_cluster import MiniCluster
from tests.helpers.slurm.slurm_job import Job, script_of

pytestmark = pytest.mark.slurm

SMALL_JOB = ("--ntasks-per-node=1", "--cpus-per-task=1")


def test_preprocessing_as_an_array_of_jobs(cluster: MiniCluster, tmp_path: Path) -> None:
    raw, script = make_raw(tmp_path / "raw"), REPOSITORY / "scripts" / "slurm" / "preprocess.sbatch"
    least = ("dataset.preprocessing.min_diag=0", "dataset.preprocessing.min_side=0", "dataset.sensor_hw=[32,40]")
    arguments = ("dataset=gen1", "dataset.preprocessing.num_raw_classes=2", *least, f"raw_path={raw}")
    assert run("scripts/preprocess_dataset.py", *arguments, f"dataset.path={tmp_path / 'one'}") == 0
    arguments = (*arguments, f"dataset.path={tmp_path / 'shared'}")
    submit = (*SMALL_JOB, f"--output={tmp_path}/%a-%j.log")
    array = cluster.submit(*submit, "--array=1-2", str(script), *arguments)
    last = cluster.submit(*submit, "--dependency=singleton", str(script), *arguments)
    cluster.wait_until(last, "COMPLETED")
    said = "".join(file.read_text() for file in tmp_path.glob("*.log"))
    assert "share 1 of 2 is done" in said, said
    assert "share 2 of 2 is done" in said, said
    assert array
    assert (tmp_path / "shared" / MANIFEST).is_file()
    assert content(tmp_path / "shared") == content(tmp_path / "one")


@pytest.mark.soak
def test_two_tasks_evaluate_and_label(cluster: MiniCluster, made_once: MadeOnce, tmp_path: Path) -> None:
    dataset, teacher = made_once.dataset(), made_once.teacher()
    shared = (*SMALL, f"dataset.path={dataset}", f"checkpoint={teacher}", "hardware.num_workers.eval=0")
    label = ("model=pseudo_labeler", *shared, "dataset.ratio=0.25", "model.pseudo_label.obj_thresh=0.02")
    assert run("val.py", *shared, f"save_json={tmp_path / 'one.json'}") == 0
    assert run("predict.py", *label, f"save_dir={tmp_path / 'one' / 'train'}") == 0

    two = ("hardware.accelerator=cpu", "hardware.num_processes=2")
    for name, program, arguments in (
        ("evaluate", "val.py", (*shared, f"save_json={tmp_path / 'two.json'}", *two)),
        ("label", "predict.py", (*label, f"save_dir={tmp_path / 'two' / 'train'}", *two)),
    ):
        folder = tmp_path / name
        folder.mkdir()
        script = script_of(folder, '"$PYTHON"', program)
        Job(cluster, folder, "--ntasks-per-node=2", script=script, arguments=arguments).finish(restarts=0)
    figures = [json.loads((tmp_path / f"{name}.json").read_text())["figures"] for name in ("one", "two")]
    assert figures[0] == figures[1]
    labels = [content(tmp_path / name / "train") for name in ("one", "two")]
    assert labels[0]
    assert labels[0] == labels[1]
