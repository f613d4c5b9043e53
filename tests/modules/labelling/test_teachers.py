"""Detectors that label together: each has its own states and views, and a box that one of them misses counts less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from modules.evaluation.agreement import Agreement
from modules.labelling.teachers import Teachers, check_teacher_files
from modules.pseudo_labeler import PseudoLabeler
from modules.weights.network_of import shared_network
from tests.modules.labelling.test_pseudo_labeler import (
    LENGTH,
    SEQUENCES,
    BoxReader,
    file_bytes,
    label,
    loaders,
    position,
    read,
    settings,
    source,  # noqa: F401 # a fixture
)
from utils.errors import UserError

TOGETHER = settings(teachers=2, agreement=Agreement(), hflip=True, keep_views=True)


class Blind:
    """Finds nothing; its states are of another kind."""

    device = torch.device("cpu")

    def detect_sequence(self, frames: Tensor, states: Any, is_first: Tensor) -> tuple[list[list[Tensor]], str]:
        assert states is None or states == "mine"
        return [[torch.zeros(0, 7) for _ in range(frames.shape[1])] for _ in frames], "mine"


def test_lanes_follow_detector_by_detector() -> None:
    both = Teachers([BoxReader(), Blind()])
    frames = torch.ones(3, 2, 1, 8, 8, dtype=torch.uint8)
    found, states = both.detect_sequence(frames, None, torch.tensor([True, True]))
    assert [[len(rows) for rows in lanes] for lanes in found] == [[1, 1, 0, 0]] * 3
    found, _ = both.detect_sequence(frames, states, torch.tensor([True, False]))
    assert [float(rows[0, 4]) for rows in found[0][:2]] == pytest.approx([0.5, 0.55])


def test_what_one_teacher_misses_counts_half(source: Path, tmp_path: Path) -> None:  # noqa: F811 # the fixture
    label(source, tmp_path / "train", TOGETHER, Teachers([BoxReader(), Blind()]))
    for name in SEQUENCES:
        labels = read(tmp_path / "train", name)
        for number, frame in enumerate(labels.objframe_idx_2_repr_idx.tolist()):
            box = labels.frame(number)[0]
            if box["t"] == 0:
                assert (box["x"], box["y"]) == pytest.approx(position(name, frame))
                assert box["objectness"] == pytest.approx((0.5 + 0.05 * (frame // LENGTH)) / 2)
    with np.load(tmp_path / "views" / "a.npz") as kept:
        assert set(kept["views"].tolist()) == {0, 1, 8, 9}


def test_a_stopped_run_of_several_goes_on_with_the_same_bytes(source: Path, tmp_path: Path) -> None:  # noqa: F811
    config = replace(TOGETHER, tflip=True)
    label(source, tmp_path / "whole" / "train", config, Teachers([BoxReader(), BoxReader()]))
    stopped = tmp_path / "stopped" / "train"
    with pytest.raises(KeyboardInterrupt):
        label(source, stopped, config, Teachers([BoxReader(), BoxReader()]), stop_after=5)
    again = Teachers([BoxReader(), BoxReader()])
    PseudoLabeler(config, source / "train", stopped, {"checkpoint": "teacher"}).run(again, loaders(source))
    assert file_bytes(tmp_path / "stopped") == file_bytes(tmp_path / "whole")


def test_teachers_are_there_and_given_once(tmp_path: Path) -> None:
    file, other = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    file.touch()
    other.touch()
    (tmp_path / "link.ckpt").symlink_to(file)
    assert check_teacher_files({"checkpoint": [str(file), str(other)]}) == [str(file), str(other)]
    for given, got in (
        ([str(file), str(tmp_path / "link.ckpt")], "the same file twice"),
        ([str(file), str(tmp_path)], "no such file"),
        ([str(file), None], "none among them"),
        ([], "none"),
        (None, "none"),
    ):
        with pytest.raises(UserError) as mistake:
            check_teacher_files({"checkpoint": given})
        assert mistake.value.got == got


def test_the_network_is_that_of_the_first_that_tells(tmp_path: Path) -> None:
    def file(name: str, model: dict[str, Any] | None) -> Path:
        told = {} if model is None else {"hyper_parameters": {"config": {"model": model}}}
        torch.save({"state_dict": {}, **told}, tmp_path / name)
        return tmp_path / name

    model = {"family": "rnndet", "depth": 1}
    bare, own, deep = file("bare", None), file("own", model), file("deep", {**model, "depth": 2})
    assert shared_network([bare, own], {"family": "rnndet", "depth": "${unresolved}"}, {}) == model
    other = file("other", {"family": "detr", "width": 1})
    for second, got in ((deep, "model.depth: 2 instead of 1"), (other, "model.family: detr instead of rnndet")):
        with pytest.raises(UserError) as mistake:
            shared_network([own, second], {"family": "rnndet"}, {})
        assert mistake.value.got == got
