"""DETR against reference numbers: names, encodings, costs, losses, networks of small size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.detection.detr.config import DetrConfig, ResnetConfig
from models.detection.detr.detector import DetrDetector
from models.weights import load_tensors
from modules.weights.files import read_state_dict
from tests.helpers.golden_files import load_golden
from tests.helpers.neighbours.detr import CASES, PACKED, Arrays, computed, errors, parts
from tests.helpers.neighbours.fill import names_and_shapes
from utils.errors import UserError

OFFICIAL = ResnetConfig(input_channels=3, norm="frozen", frozen=("conv1", "layer1"))


def arrays_of(case: str) -> Arrays:
    return {name.partition("/")[2]: array for name, array in load_golden("10_detr", f"{case}/").items()}


@pytest.mark.parametrize("case", PACKED)
def test_numbers_are_those_of_the_reference(case: str) -> None:
    arrays = arrays_of(case)
    rows = errors(computed(case, arrays) if case in CASES else parts(arrays), arrays, thin=True)
    assert len(rows) > (30 if case in CASES else 3)
    assert [row for row in rows if row[1] > 1] == []


def test_names_are_those_of_the_published_files(tmp_path: Path) -> None:
    detector = DetrDetector(DetrConfig(num_classes=91, backbone=OFFICIAL))
    theirs = json.loads(load_golden("10_detr", "names")["names"].tobytes())
    own = names_and_shapes(detector)
    assert len(own) == 458
    assert {k: [v["shape"], v["kind"] == "param", v["requires_grad"]] for k, v in own.items()} == theirs
    counts = [sum(p.numel() for p in detector.parameters() if p.requires_grad or frozen) for frozen in (True, False)]
    assert counts == [41_524_768, 41_302_368]


def test_published_files_are_read_and_fit_only_their_own_sizes(tmp_path: Path) -> None:
    small = DetrConfig(num_classes=2, backbone=ResnetConfig(resnet="resnet18", input_channels=3, norm="frozen"))
    file = tmp_path / "detr.pth"
    torch.save({"model": DetrDetector(small).state_dict()}, file)
    state = read_state_dict(file)
    assert not load_tensors(DetrDetector(small), state, str(file)).left_out
    other = DetrDetector(DetrConfig(num_classes=3, backbone=ResnetConfig(resnet="resnet18", norm="frozen")))
    with pytest.raises(
        UserError, match=r"for 2 classes and 3 input channels; the config builds .* for 3 classes and 20"
    ):
        load_tensors(other, state, str(file))
    report = load_tensors(other, state, str(file), strict=False)
    assert set(report.fresh) == {"backbone.0.body.conv1.weight", "class_embed.weight", "class_embed.bias"}
