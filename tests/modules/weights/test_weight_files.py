"""Checkpoint files: what fits loads, what does not is named."""

from __future__ import annotations

import pytest
import timm
import torch

from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.detection.recurrent_backbone.timm_rnn import TimmRnnDetector
from models.detection.recurrent_backbone.timm_weights import load_pretrained
from models.detection.rnndet.config import DetectorConfig
from models.detection.rnndet.detector import YoloXDetector
from models.detection.rnndet.weight_names import describe, model_name
from models.detection.yolox.config import FpnConfig, HeadConfig
from models.layers.config import AttentionConfig, LstmConfig
from models.weights import load_tensors
from modules.weights.files import load_weights, read_state_dict
from utils.errors import UserError

TIMM = TimmBackboneConfig(timm_name="resnet10t", embed_dim=8, input_channels=6, in_res_hw=(96, 64))


def build(embed_dim=16, num_classes=2, depth=0.33, **backbone):
    attention = AttentionConfig(dim_head=16)
    return YoloXDetector(
        DetectorConfig(
            backbone=BackboneConfig(
                embed_dim=embed_dim, in_res_hw=(64, 96), partition_size=(2, 3), attention=attention, **backbone
            ),
            fpn=FpnConfig(depth=depth),
            head=HeadConfig(num_classes=num_classes),
        )
    )


@pytest.mark.parametrize("layout", ["plain", "lightning"])
def test_own_and_module_checkpoints_load(tmp_path, layout):
    source, target = build(), build()
    state = source.state_dict()
    if layout == "lightning":
        state = {"state_dict": {f"mdl.{k}": v for k, v in state.items()} | {"other.weight": torch.ones(1)}, "epoch": 3}
    torch.save(state, tmp_path / "w.ckpt")
    load_weights(target, tmp_path / "w.ckpt")
    for a, b in zip(source.parameters(), target.parameters(), strict=True):
        assert torch.equal(a, b)


def test_other_sizes_are_named(tmp_path):
    torch.save(build(embed_dim=32, num_classes=3).state_dict(), tmp_path / "w.ckpt")
    with pytest.raises(UserError) as caught:
        load_weights(build(), tmp_path / "w.ckpt")
    assert caught.value.got == (
        "this file is RVT-T for 3 classes; "
        "the config builds a detector with embed_dim 16, num_blocks [1, 1, 1, 1], fpn_bottlenecks 1 for 2"
    )


def test_the_papers_names_are_used(tmp_path):
    def meta(embed_dim, dim_head, depth, classes, **backbone):
        config = DetectorConfig(
            backbone=BackboneConfig(
                embed_dim=embed_dim,
                in_res_hw=(64, 96),
                partition_size=(2, 3),
                attention=AttentionConfig(dim_head=dim_head),
                **backbone,
            ),
            fpn=FpnConfig(depth=depth),
            head=HeadConfig(num_classes=classes),
        )
        with torch.device("meta"):
            return YoloXDetector(config)

    base, small = meta(64, 32, 0.67, 3), meta(48, 24, 0.33, 2)
    with pytest.raises(UserError) as caught:
        load_tensors(small, base.state_dict(), "here")
    assert caught.value.got == "this file is RVT-B for 3 classes; the config builds RVT-S for 2"
    other = meta(48, 24, 0.33, 2, input_channels=10)
    with pytest.raises(UserError) as caught:
        load_tensors(small, other.state_dict(), "here")
    assert caught.value.got == (
        "this file is RVT-S for 2 classes and 10 input channels; "
        "the config builds RVT-S for 2 classes and 20 input channels"
    )
    deep = meta(48, 24, 0.33, 2, num_blocks=(2, 3, 3, 2), lstm=LstmConfig(dws_conv=True))
    assert model_name(describe(deep.state_dict())) == "RVT-S deep"


def test_other_depth_and_missing_tensors_are_named(tmp_path):
    torch.save(build(depth=0.67).state_dict(), tmp_path / "deep.ckpt")
    with pytest.raises(UserError, match="fpn_bottlenecks 2"):
        load_weights(build(), tmp_path / "deep.ckpt")
    state = build().state_dict()
    state.pop("fpn.bu_conv1.bn.bias")
    state["extra"] = torch.ones(1)
    torch.save(state, tmp_path / "part.ckpt")
    with pytest.raises(UserError, match=r"1 missing, first fpn.bu_conv1.bn.bias; 1 unknown, first extra"):
        load_weights(build(), tmp_path / "part.ckpt")
    torch.save(build().state_dict(), tmp_path / "plain.ckpt")
    with pytest.raises(UserError, match=r"1 missing, first backbone.stages.0.mask_token"):
        load_weights(build(enable_masking=True), tmp_path / "plain.ckpt")


def test_a_part_loads_on_request_with_a_list(tmp_path):
    source, target = build(num_classes=3), build()
    state = source.state_dict()
    state.pop("fpn.bu_conv1.bn.bias")
    state["extra"] = torch.ones(1)
    torch.save(state, tmp_path / "part.ckpt")
    before = target.yolox_head.cls_preds[0].weight.clone()
    report = load_weights(target, tmp_path / "part.ckpt", strict=False)
    classes = [f"yolox_head.cls_preds.{k}.{kind}" for k in range(3) for kind in ("weight", "bias")]
    assert sorted(report.left_out) == sorted([*classes, "extra"])
    assert report.fresh["fpn.bu_conv1.bn.bias"] == "not in the file"
    assert report.left_out[classes[0]] == "shape (3, 32, 1, 1) in place of (2, 32, 1, 1)"
    assert len(report.loaded) + len(report.fresh) == len(target.state_dict())
    assert "left out extra: the configured model has no such tensor" in str(report)
    assert torch.equal(target.yolox_head.cls_preds[0].weight, before)
    assert torch.equal(target.backbone.stages[0].lstm.conv1x1.weight, source.backbone.stages[0].lstm.conv1x1.weight)
    torch.save({"other": torch.ones(3)}, tmp_path / "none.ckpt")
    with pytest.raises(UserError, match="a detector of another kind"):
        load_weights(target, tmp_path / "none.ckpt", strict=False)


class _Code:
    def __reduce__(self):
        return print, ("run",)


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_state_dict(tmp_path / "absent.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    torch.save(build().state_dict(), tmp_path / "cut.ckpt")
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "cut.ckpt").read_bytes()[:5000])
    torch.save({"state_dict": {}, "evil": _Code()}, tmp_path / "code.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    for name in ("text", "empty", "cut", "code", "list"):
        with pytest.raises(UserError):
            read_state_dict(tmp_path / f"{name}.ckpt")


def test_weights_of_a_local_file(tmp_path):
    torch.manual_seed(1)
    source = timm.create_model("resnet10t")
    torch.save(source.state_dict(), tmp_path / "resnet.pth")
    model = TimmRnnDetector(TIMM)
    load_pretrained(model, tmp_path / "resnet.pth")
    loaded = dict(model.extractor.named_parameters())
    name = "layer1.0.conv1.weight"
    assert torch.equal(loaded[name], dict(source.named_parameters())[name])
    assert loaded["conv1.0.weight"].shape[1] == 6
    with pytest.raises(UserError, match="no such file"):
        load_pretrained(model, tmp_path / "missing.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match="weight file of timm"):
        load_pretrained(model, tmp_path / "broken.pth")
    torch.save(timm.create_model("efficientnet_lite0").state_dict(), tmp_path / "other.pth")
    with pytest.raises(UserError):
        load_pretrained(model, tmp_path / "other.pth")
