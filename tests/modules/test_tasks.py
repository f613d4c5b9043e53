"""What a task decides: the figures that may select a checkpoint and are told, the modules, the table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config.compose import compose
from models.registry import spec_of
from modules.detection import Module
from modules.tasks import TASKS, resamples_of, task_of
from modules.training.settings import run_settings
from utils.errors import UserError


def test_detection() -> None:
    config = compose(["dataset=synthetic", "+experiment/synthetic=demo"], "train")
    task = task_of(config)
    assert isinstance(task.module(config), Module)
    assert run_settings(config).retention.figures == ("AP", "AP_50", "AP_75", "AP_S", "AP_M", "AP_L")
    assert "AP_50" in task.table({"AP": 0.5, "AP_50": 0.75}, ["car"], "title")


def test_another_task_has_its_own_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "detection", replace(TASKS["detection"], figures=("PSNR", "SSIM"), shown=("PSNR",)))
    chosen = ["dataset=synthetic", "+experiment/synthetic=demo", "checkpointing.monitor=SSIM"]
    retention = run_settings(compose(chosen, "train")).retention
    assert (retention.monitor, retention.shown) == ("SSIM", ("PSNR",))
    with pytest.raises(UserError, match="PSNR or SSIM"):
        run_settings(compose([*chosen[:-1], "checkpointing.monitor=AP"], "train"))


@pytest.mark.parametrize(
    ("own", "wanted"), [({"task": "juggling"}, "for detection"), ({"payload": "clouds"}, "that reads frames")]
)
def test_what_nobody_carries_out_or_reads(monkeypatch: pytest.MonkeyPatch, own: dict[str, str], wanted: str) -> None:
    monkeypatch.setattr("modules.tasks.spec_of_section", lambda model: replace(spec_of("rnndet"), **own))
    with pytest.raises(UserError, match=f"a model {wanted}") as mistake:
        task_of(compose(["dataset=synthetic"], "train"))
    assert mistake.value.where == "model.family"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["dataset=synthetic", "evaluation.bootstrap=-1"], "whole number from 0"),
        (["dataset=synthetic", "evaluation.bootstrap=1000000000"], "at most 100000"),
        (["dataset=synthetic", "evaluation.bootstrap=1"], "0 or at least 20"),
        (["dataset=clips", "model=vrt_spike", "evaluation.bootstrap=100"], "figures of detectors"),
    ],
)
def test_resamples_that_cannot_be(given: list[str], expected: str) -> None:
    with pytest.raises(UserError, match=expected) as mistake:
        resamples_of(compose(given, "val"))
    assert mistake.value.where == "evaluation.bootstrap"
    assert resamples_of(compose(["dataset=clips", "model=vrt_spike"], "val")) == 0


def test_batch_sizes_of_clips_are_not_searched_for() -> None:
    with pytest.raises(UserError, match="empty windows of events") as mistake:
        run_settings(compose(["model=vrt_spike", "dataset=clips", "training.dynamic_batch_size.enabled=true"], "train"))
    assert mistake.value.where == "training.dynamic_batch_size.enabled"
    assert "batch_size.train=N; less memory: model.vrt.checkpoint_blocks=true" in mistake.value.fix
