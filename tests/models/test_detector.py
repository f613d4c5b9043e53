"""The detector as a whole: sequences against frames, options, and refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.detection.recurrent_backbone.base import BaseDetector
from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.recurrent_backbone.maxvit_rnn import RNNDetector
from models.detection.rnndet.config import DetectorConfig
from models.detection.rnndet.detector import YoloXDetector
from models.detection.yolox.config import FpnConfig, HeadConfig
from models.layers.config import AttentionConfig, LstmConfig
from utils.errors import UserError

BACKBONE = BackboneConfig(
    embed_dim=8,
    in_res_hw=(64, 96),
    partition_size=(2, 3),
    input_channels=6,
    attention=AttentionConfig(dim_head=8, ls_init_value=0.5),
)


def frames(steps=3, lanes=2, seed=0):
    return torch.randint(0, 5, (steps, lanes, 6, 64, 96), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def build(cfg=BACKBONE, **head):
    torch.manual_seed(0)
    head = HeadConfig(num_classes=2, **head)
    return YoloXDetector(DetectorConfig(backbone=cfg, fpn=FpnConfig(depth=0.33), head=head))


VARIANTS = {
    "plain": BACKBONE,
    "dws": replace(BACKBONE, lstm=LstmConfig(dws_conv=True)),
    "two blocks": replace(BACKBONE, num_blocks=(1, 2, 1, 1)),
    "checkpointing": replace(BACKBONE, use_gradient_checkpointing=True),
    "chrono": replace(BACKBONE, T_max_chrono_init=(4, 8, 16, 32)),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_sequence_equals_frame_loop_with_gradients(name):
    model = build(VARIANTS[name]).backbone
    x = frames()
    _, states = model.forward_sequence(x[:1])
    outputs = []
    for run in (model.forward_sequence, lambda *a: BaseDetector.forward_sequence(model, *a)):
        features, last = run(x, states)
        loss = sum((f * f).mean() for f in features.values())
        outputs.append((features, last, torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)))
    (fast, fast_states, fast_grads), (slow, slow_states, slow_grads) = outputs
    for stage in range(1, 5):
        torch.testing.assert_close(fast[stage], slow[stage], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(fast_states[stage - 1], slow_states[stage - 1], atol=1e-5, rtol=1e-5)
    for a, b in zip(fast_grads, slow_grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_cutting_a_sequence_changes_nothing():
    model = build().backbone.eval()
    x = frames(5)
    with torch.no_grad():
        whole, _ = model.forward_sequence(x)
        first, states = model.forward_sequence(x[:2])
        second, _ = model.forward_sequence(x[2:], states)
    for stage in whole:
        torch.testing.assert_close(whole[stage], torch.cat((first[stage], second[stage])), atol=1e-6, rtol=1e-5)


def test_gradient_checkpointing_changes_no_number():
    x = frames()
    grads = []
    for name in ("plain", "checkpointing"):
        model = build(VARIANTS[name]).backbone
        features, _ = model.forward_sequence(x)
        grads.append(torch.autograd.grad(features[4].square().mean(), list(model.parameters())))
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


def test_masked_tokens_are_replaced():
    model = build(replace(BACKBONE, enable_masking=True)).backbone
    assert "stages.0.mask_token" in model.state_dict()
    x, other = frames(2), frames(2, seed=1)
    mask = torch.zeros(1, 64, 96, dtype=torch.bool)
    mask[:, 30:] = True
    other[..., :40, :] = x[..., :40, :]
    with torch.no_grad():
        a, _ = model.forward_sequence(x, None, mask)
        b, _ = model.forward_sequence(other, None, mask)
        c, _ = model(x[0], None, mask)
        d, _ = model(x[0])
    torch.testing.assert_close(a[4], b[4])
    torch.testing.assert_close(a[4][0], c[4], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(c[4], d[4])
    with pytest.raises(ValueError, match="enable_masking"):
        build().backbone(x[0], None, mask)


def test_one_frame_through_all_parts():
    model = build()
    targets = torch.tensor([[[0.0, 40, 30, 20, 20, 1, 1]], [[1.0, 20, 20, 10, 10, 1, 1]]])
    x = frames()
    predictions, losses, states = model(x[0], None, True, targets)
    assert predictions.shape == (2, 126, 7)
    assert not predictions.requires_grad
    losses["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    predictions, losses, states = model(x[1], states, retrieve_detections=False)
    assert predictions is None
    assert losses is None
    assert len(states) == 4


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_autocast_training_step(dtype):
    model = build(use_l1=True)
    targets = torch.tensor([[[0.0, 40, 30, 20, 20, 1, 1]], [[1.0, 20, 20, 10, 10, 1, 1]]])
    with torch.autocast("cpu", dtype=dtype):
        features, states = model.forward_sequence(frames())
        features, states = model.forward_sequence(frames(), states)
        predictions, losses = model.forward_detect({stage: f[-1] for stage, f in features.items()}, targets)
    assert predictions.dtype == losses["loss"].dtype == torch.float32
    losses["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_head_starts_with_rare_objects():
    predictions, _ = (
        build()
        .eval()
        .forward_detect({s: torch.zeros(1, 8 * 2 ** (s - 1), 64 >> s + 1, 96 >> s + 1) for s in (2, 3, 4)})
    )
    torch.testing.assert_close(predictions[..., 4:], torch.full_like(predictions[..., 4:], 0.01), atol=2e-3, rtol=0)


def test_another_size_after_the_first():
    model = build().eval()
    for scale in (1, 2):
        cfg = {s: torch.zeros(1, 8 * 2 ** (s - 1), scale * 64 >> s + 1, scale * 96 >> s + 1) for s in (2, 3, 4)}
        predictions, _ = model.forward_detect(cfg)
        assert predictions.shape == (1, 126 * scale**2, 7)


class Blind(BaseDetector):
    """Smallest possible backbone: counts frames."""

    def get_stage_dims(self, stages):
        return tuple(8 * s for s in stages)

    def get_strides(self, stages):
        return tuple(2 ** (s + 1) for s in stages)

    def forward(self, x, prev_states=None, token_mask=None):
        count = torch.zeros(len(x), 1) if prev_states is None else prev_states["count"] + 1
        size = x.shape[-2:]
        shape = {s: (len(x), 8 * s, size[0] >> s + 1, size[1] >> s + 1) for s in (2, 3, 4)}
        return {s: count.view(-1, 1, 1, 1).expand(v) for s, v in shape.items()}, {"count": count}


def test_any_backbone_fits():
    cfg = build().cfg
    model = YoloXDetector(cfg, backbone=Blind()).eval()
    features, states = model.forward_sequence(frames().float())
    assert states["count"].flatten().tolist() == [2.0, 2.0]
    predictions, _ = model.forward_detect({s: f.flatten(0, 1) for s, f in features.items()})
    assert predictions.shape == (6, 126, 7)
    assert isinstance(build().backbone, RNNDetector)


BAD = [
    ({"in_res_hw": (60, 96)}, "backbone.in_res_hw"),
    ({"partition_size": (2, 5)}, "backbone.in_res_hw"),
    ({"partition_size": (2, 0)}, "backbone.partition_size"),
    ({"embed_dim": 0}, "backbone.embed_dim"),
    ({"embed_dim": 20}, "backbone.attention.dim_head"),
    ({"num_blocks": (1, 1)}, "backbone.num_blocks"),
    ({"input_channels": -1}, "backbone.input_channels"),
]


@pytest.mark.parametrize(("change", "where"), BAD)
def test_bad_backbone_settings_are_named(change, where):
    with pytest.raises(UserError) as caught:
        replace(BACKBONE, **change)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: HeadConfig(num_classes=0), "head.num_classes"),
        (lambda: HeadConfig(num_classes=2, ignore_bbox_thresh=(0.7,)), "head.ignore_bbox_thresh"),
        (lambda: HeadConfig(num_classes=2, bbox_loss_weighting="size"), "head.bbox_loss_weighting"),
        (lambda: HeadConfig(num_classes=2, ignore_bg_k=1.5), "head.ignore_bg_k"),
        (lambda: HeadConfig(num_classes=2, ignore_label=1), "head.ignore_label"),
        (lambda: FpnConfig(in_stages=(2, 4)), "fpn.in_stages"),
        (lambda: FpnConfig(depth=0), "fpn.depth"),
        (lambda: LstmConfig(dws_conv_kernel_size=4), "backbone.lstm.dws_conv_kernel_size"),
        (lambda: AttentionConfig(drop_path=1.0), "backbone.attention.drop_path"),
    ],
)
def test_bad_settings_are_named(make, where):
    with pytest.raises(UserError) as caught:
        make()
    assert caught.value.where == where
