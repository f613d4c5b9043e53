"""The detector against golden names, counts and numbers."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch

from models.detection.config import AttentionConfig, BackboneConfig, DetectorConfig, FpnConfig, HeadConfig
from models.detection.yolox_extension.models.detector import YoloXDetector

from .conftest import GOLDEN, assert_near, load_npz, pad_frames, tiny_config

KEYS = json.loads(gzip.decompress((GOLDEN / "01_state_dict_keys.json.gz").read_bytes()))

# What two versions of the reference differ by (torch 2.15 against 2.0.1), absolute.
STATES, FPN, PIXELS, PROBABILITIES = 5e-6, 7e-5, 1e-3, 1.2e-5


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


@pytest.fixture(scope="module")
def small_model(tiny_weights):
    model = YoloXDetector(tiny_config()).eval()
    model.load_state_dict(tiny_weights, strict=True)
    return model


@pytest.fixture(scope="module")
def small():
    return load_npz("02_forward_small.npz")


def assert_step(golden, t, features, states, fpn, predictions):
    for stage, (h, c) in enumerate(states, start=1):
        assert_near(h.numpy(), golden[f"h_t{t}_s{stage}"], STATES)
        assert_near(c.numpy(), golden[f"c_t{t}_s{stage}"], STATES)
        np.testing.assert_array_equal(features[stage].numpy(), h.numpy())
    for k, value in enumerate(fpn):
        assert_near(value.numpy(), golden[f"fpn_t{t}_{k}"], FPN)
    assert_predictions(golden, t, predictions)


def assert_predictions(golden, t, predictions):
    pred = golden[f"pred_t{t}"]
    assert_near(predictions[..., :4].numpy(), pred[..., :4], PIXELS)
    assert_near(predictions[..., 4:].numpy(), pred[..., 4:], PROBABILITIES)


@torch.no_grad()
def test_small_frame_by_frame(small, small_model):
    x = pad_frames(small["ev"], (64, 96))
    states = None
    for t in range(len(x)):
        features, states = small_model.forward_backbone(x[t], states)
        predictions, losses = small_model.forward_detect(features)
        assert losses is None
        assert_step(small, t, features, states, small_model.fpn(features), predictions)


@torch.no_grad()
def test_small_whole_sequence(small, small_model):
    x = pad_frames(small["ev"], (64, 96))
    features, states = small_model.forward_sequence(x, None)
    for stage in range(1, 5):
        for t in range(len(x)):
            assert_near(features[stage][t].numpy(), small[f"h_t{t}_s{stage}"], STATES)
        assert_near(states[stage - 1][1].numpy(), small[f"c_t{len(x) - 1}_s{stage}"], STATES)
    predictions, _ = small_model.forward_detect({s: f.flatten(0, 1) for s, f in features.items()})
    for t, pred in enumerate(predictions.unflatten(0, x.shape[:2])):
        assert_predictions(small, t, pred)


@torch.no_grad()
def test_gen4_like(tiny_weights):
    golden = load_npz("02_forward_gen4like.npz")
    cfg = tiny_config((128, 192), (2, 3), num_classes=3)
    model = YoloXDetector(cfg).eval()
    changed = {k.removeprefix("w/mdl."): torch.from_numpy(v) for k, v in golden.items() if k.startswith("w/")}
    model.load_state_dict(tiny_weights | changed, strict=True)
    x = pad_frames(golden["ev"], (128, 192))
    features, states = model.forward_sequence(x, None)
    last = len(x) - 1
    for stage in range(1, 5):
        for t in range(len(x)):
            h = features[stage][t].double()
            np.testing.assert_allclose([h.sum(), h.abs().sum()], golden[f"hsum_t{t}_s{stage}"], rtol=1e-4, atol=1e-2)
    for t in range(len(x)):
        predictions, _ = model.forward_detect({s: f[t] for s, f in features.items()})
        assert_predictions(golden, t, predictions)
    fpn = model.fpn({s: f[last] for s, f in features.items()})
    assert_step(golden, last, {s: f[last] for s, f in features.items()}, states, fpn, predictions)


def assert_sums(golden, t, kind, stage, value):
    value = value.double()
    sums = golden[f"{kind}sum_t{t}_s{stage}"]
    # Rounding differs in sign from element to element: the sum may not drift further than every element may.
    np.testing.assert_allclose([value.sum(), value.abs().sum()], sums, rtol=1e-5, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("sequence", [False, True])
def test_full_size(tiny_weights, sequence):
    """Gen1's own frames, 240x304 padded to 256x320; maps of the last step are stored at every fourth row and column."""
    golden = load_npz("02_forward_full.npz")
    model = YoloXDetector(tiny_config((256, 320), (8, 10))).eval()
    model.load_state_dict(tiny_weights, strict=True)
    x = pad_frames(golden["ev"], (256, 320))
    if sequence:
        features, states = model.forward_sequence(x, None)
        steps = [{stage: feature[t] for stage, feature in features.items()} for t in range(len(x))]
    else:
        states, steps = None, []
        for frame in x:
            features, states = model.forward_backbone(frame, states)
            steps.append(features)
            for stage, (_, cell) in enumerate(states, start=1):
                assert_sums(golden, len(steps) - 1, "c", stage, cell)
    for t, features in enumerate(steps):
        predictions, _ = model.forward_detect(features)
        assert_predictions(golden, t, predictions)
        for stage, feature in features.items():
            assert_sums(golden, t, "h", stage, feature)
    last = len(x) - 1
    for stage, state in enumerate(states, start=1):
        for kind, value in zip("hc", state, strict=True):
            expected = golden[f"{kind}_t{last}_s{stage}"]
            assert_near(value[..., ::4, ::4].numpy(), expected, STATES)
    for k, value in enumerate(model.fpn(steps[last])):
        assert_near(value[..., ::4, ::4].numpy(), golden[f"fpn_t{last}_{k}"], FPN)


def truth_within(model, golden, t, states, features):
    """Every element within what the reference's own float32 differs from its float64."""
    for stage, state in enumerate(states, start=1):
        for kind, value in zip("hc", state, strict=True):
            key = f"{kind}_t{t}_s{stage}"
            if key in golden:
                np.testing.assert_allclose(value.numpy(), golden[key], atol=STATES, rtol=0)
    for k, value in enumerate(model.fpn(features)):
        if f"fpn_t{t}_{k}" in golden:
            np.testing.assert_allclose(value.numpy(), golden[f"fpn_t{t}_{k}"], atol=FPN, rtol=0)
    predictions, _ = model.forward_detect(features)
    pred = golden[f"pred_t{t}"]
    np.testing.assert_allclose(predictions[..., :4].numpy(), pred[..., :4], atol=PIXELS, rtol=0)
    np.testing.assert_allclose(predictions[..., 4:].numpy(), pred[..., 4:], atol=PROBABILITIES, rtol=0)


@torch.no_grad()
def test_float64_is_within_the_reference_rounding(small, tiny_weights):
    model = YoloXDetector(tiny_config()).eval()
    model.load_state_dict(tiny_weights, strict=True)
    model.double()
    states = None
    for t, frame in enumerate(pad_frames(small["ev"], (64, 96)).double()):
        features, states = model.forward_backbone(frame, states)
        truth_within(model, small, t, states, features)
