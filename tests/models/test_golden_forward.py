"""The detector against golden names, counts and numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from models.detection.config import AttentionConfig, BackboneConfig, DetectorConfig, FpnConfig, HeadConfig
from models.detection.yolox_extension.models.detector import YoloXDetector

from .conftest import GOLDEN, load_npz, pad_frames, tiny_config

KEYS = json.loads((GOLDEN / "01_state_dict_keys.json").read_text())


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
        np.testing.assert_allclose(h.numpy(), golden[f"h_t{t}_s{stage}"], atol=1e-5, rtol=0)
        np.testing.assert_allclose(c.numpy(), golden[f"c_t{t}_s{stage}"], atol=1e-5, rtol=0)
        np.testing.assert_array_equal(features[stage].numpy(), h.numpy())
    for k, value in enumerate(fpn):
        np.testing.assert_allclose(value.numpy(), golden[f"fpn_t{t}_{k}"], atol=2e-4, rtol=0)
    assert_predictions(golden, t, predictions)


def assert_predictions(golden, t, predictions):
    pred = golden[f"pred_t{t}"]
    np.testing.assert_allclose(predictions[..., :4].numpy(), pred[..., :4], atol=2e-3, rtol=0)
    np.testing.assert_allclose(predictions[..., 4:].numpy(), pred[..., 4:], atol=3e-5, rtol=0)


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
            np.testing.assert_allclose(features[stage][t].numpy(), small[f"h_t{t}_s{stage}"], atol=1e-5, rtol=0)
        np.testing.assert_allclose(states[stage - 1][1].numpy(), small[f"c_t{len(x) - 1}_s{stage}"], atol=1e-5, rtol=0)
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
