"""VRT and its branch for spikes against reference numbers: names, features of every stage, frames."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from config.compose import compose
from models.restoration.vrt.config import VrtConfig
from models.restoration.vrt.network import Vrt
from models.restoration.vrt_spike.build import build
from tests.helpers.golden_files import load_golden
from tests.helpers.neighbours.vrt import (
    CASES,
    OFFICIAL,
    SPIKE_FILE,
    Arrays,
    clip_of,
    computed,
    errors,
    filled,
    names,
    spike_network,
    spikes_of,
)

QUICK = "vrt_tiny_oddsize"
"""Windows that are clipped, and frames that are padded."""


def arrays_of(case: str) -> Arrays:
    return {name.partition("/")[2]: array for name, array in load_golden("12_vrt", f"{case}/").items()}


def beyond(found: Arrays, case: str) -> list[tuple[str, float, float]]:
    return [row for row in errors(found, arrays_of(case), thin=True) if row[1] > row[2]]


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=[] if name == QUICK else pytest.mark.soak) for name in CASES]
)
def test_numbers_are_those_of_the_reference(case: str) -> None:
    found = computed(case)
    assert len(errors(found, arrays_of(case), thin=True)) > 30
    assert beyond(found, case) == []


def test_flow_is_that_of_the_reference() -> None:
    case = "vrt_tiny_spynet"
    network = filled(Vrt(VrtConfig(**CASES[case].sizes)))
    with torch.no_grad():
        given = network.flows(clip_of(CASES[case]), None)
    found = {
        f"flow_{letter}{k}": flow.numpy()
        for letter, flows in zip("bf", given, strict=True)
        for k, flow in enumerate(flows)
    }
    assert len(errors(found, arrays_of(case), thin=True)) == 8
    assert beyond(found, case) == []


def test_features_of_spikes_are_those_of_the_reference() -> None:
    network = filled(spike_network(CASES[SPIKE_FILE].sizes, 8))
    with torch.no_grad():
        encoded = network.spike_encoder(spikes_of(CASES[SPIKE_FILE]))
        attended = network.spike_temporal_sa(encoded)
    found = {f"enc{scale}": plain.numpy() for scale, plain in enumerate(encoded)}
    found |= {f"tsa{scale}": own.movedim(-1, 1).numpy() for scale, own in enumerate(attended)}
    assert len(errors(found, arrays_of(SPIKE_FILE), thin=True)) == 18
    assert beyond(found, SPIKE_FILE) == []


def test_names_are_those_of_the_published_files() -> None:
    section = compose(["model=vrt_spike", "model.vrt.flow=spynet", "dataset=clips"])["model"]
    with torch.device("meta"):
        network = build(section)
    assert network.config.vrt == VrtConfig(**OFFICIAL)
    own = names(network)
    alone = {name.removeprefix("vrt."): row for name, row in own.items() if name.startswith("vrt.")}
    assert len(alone) == 1526
    assert alone == table("vrt_006_gopro")
    assert sum(weight.numel() for weight in network.vrt.parameters()) == 18_320_007
    assert {name: row for name, row in own.items() if not name.startswith("vrt.")} == table("vrt_spike_extra")
    parts = (network.spike_encoder, network.spike_temporal_sa, network.cross_attn_fuse)
    assert [sum(weight.numel() for weight in part.parameters()) for part in parts] == [4_812_672, 299_136, 299_904]


def table(name: str) -> dict[str, list[object]]:
    return json.loads(load_golden("12_vrt", name)[name].astype(np.uint8).tobytes())
