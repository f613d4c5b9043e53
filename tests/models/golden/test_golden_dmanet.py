"""DMANet against reference numbers: names, pillars, and the network over three steps in evaluation and training."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from models.detection.dmanet.config import DmaNetConfig
from models.detection.dmanet.detector import DmaNet
from tests.helpers.golden_files import load_golden
from tests.helpers.neighbours.dmanet import pillar_rows
from tests.helpers.neighbours.dmanet_run import run_rows

NAMES = {
    18: (239, 28_254_437, "7690d3a3496264dc"),
    34: (335, 34_822_629, "90aa735506246a0b"),
}
"""Entries, parameters, and the hash of names and shapes, by depth."""


@pytest.mark.parametrize("depth", NAMES)
def test_names_of_weights_are_the_published_ones(depth: int) -> None:
    network = DmaNet(DmaNetConfig(7, (512, 512), depth=depth))
    state = network.state_dict()
    lines = sorted(f"{name} {list(entry.shape)}" for name, entry in state.items())
    found = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    assert (len(state), sum(weight.numel() for weight in network.parameters()), found) == NAMES[depth]


def test_pillars_are_those_of_the_reference() -> None:
    rows = list(pillar_rows(load_golden("11_dmanet")))
    assert [name for name, worst, tolerance in rows if not worst <= tolerance] == []
    assert len(rows) == 5


def test_the_network_is_that_of_the_reference() -> None:
    given = {key.removeprefix("128/"): value for key, value in load_golden("11_dmanet", "128/").items()}
    rows = list(run_rows(given, size=128))
    assert [row for row in rows if not row[1] <= row[2]] == []
    names = {name for name, _, _ in rows}
    assert {"cls_t2", "reg_t2", "hidden1_t2", "cell2_t2", "img_t0__sum", "train_losses", "gradnorm_vals"} <= names
    assert np.isfinite([worst for _, worst, _ in rows]).all()
