"""Any timm network as the recurrent backbone."""

from __future__ import annotations

import pytest
import torch

from models.detection.recurrent_backbone.base import BaseDetector
from models.detection.recurrent_backbone.timm_config import RECURRENCES, TimmBackboneConfig
from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector
from models.detection.rnndet.config import DetectorConfig
from models.detection.rnndet.detector import YoloXDetector
from models.detection.yolox.config import FpnConfig, HeadConfig
from models.rnn_states import RNNStates
from utils.errors import UserError

HW = (96, 64)
TINY_SWIN = {"embed_dim": 12, "depths": (1, 2, 1, 1), "num_heads": (1, 1, 2, 2)}


def build(name="resnet10t", recurrence="convlstm", **more):
    torch.manual_seed(0)
    cfg = TimmBackboneConfig(timm_name=name, recurrence=recurrence, embed_dim=8, input_channels=6, in_res_hw=HW, **more)
    return TimmRnnDetector(cfg)


def frames(steps=3, lanes=2):
    data = torch.randint(0, 5, (steps, lanes, 6, *HW), generator=torch.Generator().manual_seed(0))
    return data.to(torch.uint8)


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_a_sequence_equals_the_loop_over_frames(recurrence):
    model = build(recurrence=recurrence).eval()
    x = frames()
    with torch.no_grad():
        _, states = model.forward_sequence(x[:1])
        fast, fast_states = model.forward_sequence(x, states)
        slow, slow_states = BaseDetector.forward_sequence(model, x, states)
    for stage, stride in zip(range(1, 5), (4, 8, 16, 32), strict=True):
        assert fast[stage].shape == (3, 2, 8 * stride // 4, HW[0] // stride, HW[1] // stride)
        torch.testing.assert_close(fast[stage], slow[stage], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast_states, slow_states, atol=1e-5, rtol=1e-5)
    again, _ = model.forward_sequence(x)
    assert torch.equal(again[4], fast[4]) == (recurrence == "none")


def test_the_written_out_gru_is_torchs():
    memory = build(recurrence="convgru").stages[0].memory
    x, hidden = torch.randn(4, 2, 3, 5, 8), torch.randn(2, 8, 3, 5)
    outputs, last = memory(x, hidden)
    torch.testing.assert_close(memory._loop(x, hidden.permute(0, 2, 3, 1)), outputs, atol=1e-6, rtol=1e-5)
    assert torch.equal(last, outputs[-1].permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("efficientnet_lite0", {}),
        ("swin_tiny_patch4_window7_224", TINY_SWIN),
        ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)}),
    ],
)
def test_other_networks_and_odd_sizes_give_the_same_maps(name, args):
    # 96 x 64 pixels: no multiple of Swin's windows at any stage.
    model = YoloXDetector(
        DetectorConfig(
            backbone=TimmBackboneConfig(timm_name=name, embed_dim=8, input_channels=6, in_res_hw=HW, timm_args=args),
            fpn=FpnConfig(depth=0.33),
            head=HeadConfig(num_classes=2),
        )
    )
    features, states = model.forward_sequence(frames(2))
    predictions, _ = model.forward_detect({stage: feature[-1] for stage, feature in features.items()})
    assert predictions.shape == (2, 12 * 8 + 6 * 4 + 3 * 2, 7)
    predictions.sum().backward()
    assert all(p.grad is not None for p in model.backbone.extractor.parameters())
    store = RNNStates()
    store.save_states_and_detach(0, states)
    store.reset(0, torch.tensor([True, False]))
    assert not store.get_states(0)[3][0][0].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet51"}, "name of a network"),
        ({"name": "vit_tiny_patch16_224"}, r"frames of 96x64 pixels\ngot: +strides 16\n"),
        ({"name": "nest_tiny"}, r"when timm builds it: .+\nwhere: +backbone.timm_name=nest_tiny\n"),
        ({"name": "mvitv2_tiny"}, "when timm builds it: AssertionError"),
        ({"name": "efficientformer_l1"}, "at the first frame: The size of tensor"),
        ({"recurrence": "lstm"}, "convlstm, convgru, none"),
        ({"more": {"timm_args": {"wings": 2}}}, "wings"),
        ({"more": {"dim_multiplier": (1, 2, 0, 8)}}, "above 0"),
    ],
)
def test_refusals(settings, message):
    more = settings.pop("more", {})
    with pytest.raises(UserError, match=message):
        build(**settings, **more)


def test_maps_of_other_sizes_are_refused():
    cfg = TimmBackboneConfig(timm_name="inception_v4", embed_dim=8, input_channels=2, in_res_hw=(128, 160))
    with pytest.raises(UserError, match="a map of 30x38 for 32x40 at stride 4"):
        TimmRnnDetector(cfg)
