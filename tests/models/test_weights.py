"""Checkpoint files: what fits loads, what does not is named."""

from __future__ import annotations

import pytest
import torch

from models.detection.config import AttentionConfig, BackboneConfig, DetectorConfig, FpnConfig, HeadConfig
from models.detection.yolox_extension.models.detector import YoloXDetector
from models.weights import load_weights, read_state_dict
from utils.errors import UserError


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
    assert caught.value.got == "this file is for embed_dim 32, num_classes 3"
    assert "embed_dim 16, num_classes 2" in caught.value.expected


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
