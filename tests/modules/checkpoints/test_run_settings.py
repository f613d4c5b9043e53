"""Which settings a run may go on with, which are refused, and what is kept of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from config.compose import compose
from modules.checkpoints.names import CHANGES, CONFIG
from modules.checkpoints.settings import check_settings, read_config, write_config
from modules.training.settings import run_settings
from utils.errors import UserError

CONFIGURATION = compose(["dataset=synthetic", "+experiment/synthetic=demo"])


def changed(**values: Any) -> dict[str, Any]:
    """The configuration with other values, by keys with ``__`` for dots."""
    config = copy.deepcopy(CONFIGURATION)
    for key, value in values.items():
        *parts, name = key.split("__")
        node = config
        for part in parts:
            node = node[part]
        node[name] = value
    return config


@pytest.mark.parametrize(
    "values",
    [
        {"hardware__num_workers__train": 3},
        {"logging__log_every_n_steps": 7},
        {"batch_size__eval": 1},
        {"training__max_steps": 7},
        {"training__lr_scheduler__use": False, "training__lr_scheduler__total_steps": 9},
        {"validation__limit_val_batches": 1},
        {"model__backbone__use_gradient_checkpointing": True},
        {"training__dynamic_batch_size": {"enabled": True, "base": 1, "max": 9, "factor": 2}, "batch_size__train": 9},
        {"output__dir": "elsewhere"},
    ],
)
def test_may_change(values: dict[str, Any]) -> None:
    check_settings(CONFIGURATION, changed(**values), Path("last.ckpt"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"training__learning_rate": 0.5}, "training.learning_rate is 0.5, was 0.002"),
        ({"reproduce__seed_everything": 7}, "reproduce.seed_everything is 7, was 0"),
        ({"dataset__ratio": 0.1}, "dataset.ratio is 0.1, was None"),
        ({"dataset__path": "other"}, "dataset.path is other, was "),
        ({"weight": "other.ckpt"}, "weight is other.ckpt, was None"),
        ({"batch_size__train": 9}, "batch_size.train is 9, was 4"),
        ({"model__head__use_l1": True}, "model.head.use_l1 is True, was False"),
    ],
)
def test_refused_unless_allowed(values: dict[str, Any], told: str) -> None:
    now = changed(**values)
    with pytest.raises(UserError) as mistake:
        check_settings(CONFIGURATION, now, Path("last.ckpt"))
    assert told in mistake.value.got
    key = told.split()[0]
    assert f"resume.allow=[{key}]" in mistake.value.fix
    assert check_settings(CONFIGURATION, now, Path("last.ckpt"), [key]).keys() == {key}


def test_keys_that_may_change_are_a_list() -> None:
    with pytest.raises(UserError) as mistake:
        run_settings(changed(resume={"allow": "training"}))
    assert mistake.value.where == "resume.allow"
    assert run_settings(changed(resume={"allow": ["training"]})).may_change == ("training",)


def test_all_that_differ_are_listed_once() -> None:
    now = changed(training__learning_rate=0.5, reproduce__seed_everything=7, hardware__threads=9)
    with pytest.raises(UserError, match=r"resume.allow=\[reproduce.seed_everything\]") as mistake:
        check_settings(CONFIGURATION, now, Path("last.ckpt"), ["training"])
    assert mistake.value.where == "reproduce.seed_everything"


def test_the_same_place_by_another_name_and_weights_that_were_started_from() -> None:
    before = changed(dataset__path="data", weight="start.ckpt")
    check_settings(before, changed(dataset__path=str(Path("data").resolve()), weight=None), Path("last.ckpt"))


def test_keys_that_one_of_them_lacks_are_those_of_another_release() -> None:
    before = changed()
    del before["training"]["optimizer"], before["model"]["family"]
    before["training"]["older"] = 1
    assert check_settings(before, CONFIGURATION, Path("last.ckpt")) == {}


def test_what_a_run_used_is_kept(tmp_path: Path) -> None:
    assert read_config(tmp_path) is None
    write_config(tmp_path, CONFIGURATION, {}, 0)
    assert read_config(tmp_path) == CONFIGURATION
    assert not (tmp_path / CHANGES).exists()
    for step, steps in ((4, 6), (4, 6), (6, 8)):
        now = changed(training__max_steps=steps, output__dir="moved")
        write_config(tmp_path, now, check_settings(CONFIGURATION, now, tmp_path / CONFIG), step)
    assert read_config(tmp_path) == now
    noted = [(entry["from_step"], entry["changed"]) for entry in json.loads((tmp_path / CHANGES).read_text())]
    assert noted == [(4, {"training.max_steps": [1000, 6]}), (6, {"training.max_steps": [1000, 8]})]


def test_the_command_before_a_change_is_told_when_it_came(tmp_path: Path) -> None:
    first, then = CONFIGURATION, changed(training__learning_rate=0.5)
    allowed = check_settings(first, then, tmp_path / "last.ckpt", ["training.learning_rate"])
    write_config(tmp_path, then, allowed, 6)
    with pytest.raises(UserError) as mistake:
        check_settings(then, first, tmp_path / "last.ckpt")
    told = f"training.learning_rate is 0.002, was 0.5 since step 6 ({tmp_path / CHANGES})"
    assert mistake.value.got == told
