"""Values of another kind than their keys hold, as each command composes them."""

from __future__ import annotations

import pytest

from tests.helpers.commands import failure

TRAIN = ("train.py", "dataset=synthetic", "dataset.path=tests", "hardware.accelerator=cpu")
PREPROCESS = (
    "scripts/preprocess_dataset.py", "dataset=synthetic", "dataset.path=nowhere", "verify=true", "raw_path=nowhere",
)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "override", "expected"),
    [
        (TRAIN, "output.dir=", "a path"),
        (TRAIN, "dataset.classes=[car,null]", "a list of words, each once"),
        (TRAIN, "dataset.representation.name=0", "the name of a folder"),
        (TRAIN, "dataset.preprocessing.num_raw_classes=[1,a]", "a number"),
        (TRAIN, "dataset.preprocessing.class_names=nan", "a mapping"),
        (TRAIN, "model.size_name={a:1}", "a value"),
        (TRAIN, "hardware.ddp.timeout_s=-1", "a number from 1"),
        (TRAIN, "hardware.ddp.powersgd_rank=-1", "a whole number from 1"),
        (PREPROCESS, "dataset.classes=[car,car]", "a list of words, each once"),
        (PREPROCESS, "dataset.representation.name=a/b", "the name of a folder"),
        (PREPROCESS, "dataset.preprocessing.max_width_splits=[foo]", "some of train, val, test"),
        (PREPROCESS, "dataset.preprocessing.windows_per_label_step=1.5", "a whole number above 0"),
        (PREPROCESS, "dataset.sensor_hw=[32]", "height and width"),
        (PREPROCESS, "hardware.num_workers=a", "a whole number from 0"),
        (PREPROCESS, "hardware.num_workers=-1", "a whole number from 0"),
        (("scripts/inspect_dataset.py", "dataset=synthetic", "path=."), "dataset.sensor_hw=[32]", "height and width"),
    ],
)
def test_a_value_of_another_kind_is_refused(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], override: str, expected: str
) -> None:
    program, *arguments = command
    message = failure(capsys, program, *arguments, override)
    assert f"expected: {expected}" in message
    assert f"where:    {override.partition('=')[0]}" in message
