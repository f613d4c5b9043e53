"""The detector against golden names, counts and numbers."""

from __future__ import annotations

import functools
import gzip
import json

import numpy as np
import pytest
import torch

from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.rnndet.config import DetectorConfig
from models.detection.rnndet.detector import YoloXDetector
from models.detection.yolox.config import FpnConfig, HeadConfig
from models.layers.config import AttentionConfig
from tests.helpers.float32_rounding import golden_dtype
from tests.models.conftest import GOLDEN, assert_near, load_golden, pad_frames, tiny_config

KEYS = json.loads(gzip.decompress((GOLDEN / "01_state_dict_keys.json.gz").read_bytes()))

# What two versions of the reference differ by (torch 2.15 against 2.0.1), absolute.
TOLERANCE = {"h": 5e-6, "c": 5e-6, "fpn": 7e-5, "pixels": 1e-3, "probabilities": 1.2e-5}
EVERYTHING = tuple(TOLERANCE)

WAYS = ("plain", "frames", "sequence")
"""Frame by frame with every formula written out, as the reference; our frame loop; all frames of a stage at once."""
NEAR = 1e-5
CONFIGS = {
    "small": tiny_config((64, 96), (2, 3)),
    "full": tiny_config((256, 320), (8, 10)),
    "gen4like": tiny_config((128, 192), (2, 3), num_classes=3),
}


@pytest.mark.parametrize("name", sorted(KEYS))
def test_checkpoint_names_shapes_and_counts(name):
    golden = KEYS[name]
    c = golden["config"]
    cfg = DetectorConfig(
        backbone=BackboneConfig(
            embed_dim=c["embed_dim"],
            in_res_hw=tuple(c["in_res_hw"]),
            partition_size=tuple(c["partition_size"]),
            attention=AttentionConfig(dim_head=c["dim_head"]),
        ),
        fpn=FpnConfig(depth=c["fpn_depth"]),
        head=HeadConfig(num_classes=c["num_classes"]),
    )
    with torch.device("meta"):
        model = YoloXDetector(cfg)
    params = dict(model.named_parameters())
    entries = [
        [f"mdl.{k}", list(v.shape), str(v.dtype).removeprefix("torch."), "param" if k in params else "buffer"]
        for k, v in model.state_dict().items()
    ]
    assert entries == golden["entries"]
    assert sum(p.numel() for p in params.values()) == golden["num_params"]
    assert sum(b.numel() for b in model.buffers()) == golden["num_buffer_elems"]
    per_part = {part: sum(p.numel() for p in child.parameters()) for part, child in model.named_children()}
    assert per_part == golden["params_per_child"]


@functools.cache
def golden_forward(name):
    return load_golden(f"02_forward_{name}")


@functools.cache
@torch.no_grad()
def forward(name, way, dtype):
    """Everything the detector computes on the golden frames, in float64, under the names of the golden arrays."""
    golden, cfg = golden_forward(name), CONFIGS[name]
    weights = {k.removeprefix("mdl."): v for k, v in load_golden("02_weights_gen1_tiny").items()}
    weights |= {k.removeprefix("w/mdl."): v for k, v in golden.items() if k.startswith("w/")}
    model = YoloXDetector(cfg).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=True)
    model.to(dtype)
    model.backbone.plain = way == "plain"
    x = pad_frames(golden["ev"], cfg.backbone.in_res_hw).to(dtype)
    found, maps, states = {}, [], None
    if way == "sequence":
        features, states = model.forward_sequence(x, None)
        maps = [{stage: feature[t] for stage, feature in features.items()} for t in range(len(x))]
        found |= {f"c_t{len(x) - 1}_s{stage}": cell for stage, (_, cell) in enumerate(states, start=1)}
    else:
        for t, frame in enumerate(x):
            features, states = model.forward_backbone(frame, states)
            maps.append(features)
            found |= {f"c_t{t}_s{stage}": cell for stage, (_, cell) in enumerate(states, start=1)}
    for stage, (hidden, _) in enumerate(states, start=1):
        assert torch.equal(hidden, maps[-1][stage])
    for t, features in enumerate(maps):
        found |= {f"h_t{t}_s{stage}": feature for stage, feature in features.items()}
        found |= {f"fpn_t{t}_{k}": value for k, value in enumerate(model.fpn(features))}
        predictions, losses = model.forward_detect(features)
        assert losses is None
        found[f"pred_t{t}"] = predictions
    return {key: value.double().numpy() for key, value in found.items()}


def quantities(arrays):
    """Name, kind and values of every array that has a tolerance."""
    for key, value in arrays.items():
        kind = key.split("_")[0]
        if kind == "pred":
            yield key, "pixels", value[..., :4]
            yield key, "probabilities", value[..., 4:]
        elif kind in TOLERANCE:
            yield key, kind, value


def assert_run(found, expected, kinds):
    """Every element of the named kinds; golden maps of full size are stored at every fourth row and column."""
    own = {(key, kind): value for key, kind, value in quantities(found)}
    compared = set()
    for key, kind, value in quantities(expected):
        if kind not in kinds or (key, kind) not in own:
            continue
        mine = own[key, kind]
        mine = mine if mine.shape == value.shape else mine[..., ::4, ::4]
        assert mine.shape == value.shape
        assert_near(mine, value, atol=TOLERANCE[kind], name=f"{key} {kind}")
        compared.add(kind)
    assert compared == set(kinds)


def assert_sums(found, golden):
    """Rounding differs in sign from element to element: the sum may not drift further than every element may."""
    sums = {key: value for key, value in golden.items() if key.startswith(("hsum", "csum"))}
    compared = 0
    for key, value in sums.items():
        own = found.get(key.replace("sum", "", 1))
        if own is not None:
            compared += 1
            np.testing.assert_allclose([own.sum(), np.abs(own).sum()], value, rtol=1e-5, atol=1e-3, err_msg=key)
    assert compared >= len(sums) // 2


@pytest.mark.parametrize("name", CONFIGS)
def test_plain_arithmetic_is_within_every_tolerance(name):
    found = forward(name, "plain", golden_dtype())
    assert_run(found, golden_forward(name), EVERYTHING)
    assert_sums(found, golden_forward(name))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CONFIGS)
def test_float64_is_within_every_tolerance(name, way):
    found = forward(name, way, torch.float64)
    assert_run(found, golden_forward(name), EVERYTHING)
    assert_sums(found, golden_forward(name))


@pytest.mark.parametrize("way", ["frames", "sequence"])
@pytest.mark.parametrize("name", CONFIGS)
def test_float32_ways_are_equal(name, way):
    """States to 1e-5, maps and boxes to 1e-5 of their largest value."""
    expected = {(key, kind): value for key, kind, value in quantities(forward(name, "plain", torch.float32))}
    found = {(key, kind): value for key, kind, value in quantities(forward(name, way, torch.float32))}
    assert {kind for _, kind in found} == set(EVERYTHING)
    for (key, kind), value in found.items():
        if kind == "probabilities":  # a sigmoid of what the same pyramid and head make of these states
            continue
        wanted = expected[key, kind]
        scale = 1.0 if kind in ("h", "c") else float(np.abs(wanted).max())
        assert_near(value / scale, wanted / scale, atol=NEAR, name=f"{key} {kind}")
    assert_sums(forward(name, way, torch.float32), golden_forward(name))
