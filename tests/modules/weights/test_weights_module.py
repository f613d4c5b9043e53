"""Published checkpoints through the training module, the converter, and the config key for a part of them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from config.resolvers import register_resolvers
from modules.checkpoints.files import load_checkpoint_file
from modules.detection import Module
from scripts.convert_checkpoint import convert, main
from utils.commands.cli import CONFIG_DIR
from utils.errors import UserError


def module(*overrides):
    register_resolvers()
    size = ("model.backbone.embed_dim=16", "model.backbone.attention.dim_head=16", "model.fpn.depth=0.33")
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("train", overrides=[*size, *overrides])
    torch.manual_seed(0)
    return Module(OmegaConf.to_container(cfg, resolve=True))


class Reference:
    """Stands for an object of another program, which this one cannot import."""

    def __init__(self):
        self.note = "old"


def reference_file(path, source):
    """As the reference's trainer saves: names below mdl., the composed config as OmegaConf, objects of its own."""
    torch.save(
        {
            "epoch": 1,
            "global_step": 5,
            "pytorch-lightning_version": "1.8.6",
            "state_dict": OrderedDict(source.state_dict()),
            "hyper_parameters": OmegaConf.create({"full_config": {"dataset": {"name": "gen1"}}}),
            "loops": {"fit": Reference()},
        },
        path,
    )


def test_a_reference_checkpoint_loads_strictly(tmp_path):
    source, target = module(), module()
    with torch.no_grad():
        for p in source.parameters():
            p.add_(1)
    reference_file(tmp_path / "leod.ckpt", source)
    report = target.load_weight(tmp_path / "leod.ckpt")
    assert len(report.loaded) == len(target.mdl.state_dict())
    assert not report.left_out
    for a, b in zip(source.parameters(), target.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(UserError, match="weight=FILE"):
        load_checkpoint_file(tmp_path / "leod.ckpt")


def test_another_dataset_is_named_and_its_part_loads(tmp_path, caplog):
    reference_file(tmp_path / "gen4.ckpt", module("dataset=gen4"))
    target = module("dataset=gen1")
    with pytest.raises(UserError, match=r"for 3 classes; the config builds .* for 2"):
        target.load_weight(tmp_path / "gen4.ckpt")
    with caplog.at_level(logging.INFO):
        report = target.load_weight(tmp_path / "gen4.ckpt", strict=False)
    assert all(name.startswith("yolox_head.cls_preds.") for name in report.left_out)
    assert len(report.left_out) == 6
    assert "left out yolox_head.cls_preds.0.weight: shape (3, 32, 1, 1) in place of (2, 32, 1, 1)" in caplog.text


def test_the_converter_writes_a_plain_file(tmp_path, caplog):
    source = module()
    reference_file(tmp_path / "leod.ckpt", source)
    with caplog.at_level(logging.INFO):
        main([str(tmp_path / "leod.ckpt"), str(tmp_path / "plain.ckpt")])
    assert "omegaconf.dictconfig.DictConfig" in caplog.text
    plain = torch.load(tmp_path / "plain.ckpt", weights_only=True)
    assert (plain["epoch"], plain["global_step"]) == (1, 5)
    assert set(plain) == {"state_dict", "epoch", "global_step"}
    for name, value in source.state_dict().items():
        assert torch.equal(plain["state_dict"][name], value)
    module().load_weight(tmp_path / "plain.ckpt")


def test_the_converter_takes_whole_modules(tmp_path):
    source = module()
    torch.save(source.mdl, tmp_path / "module.pt")
    convert(tmp_path / "module.pt", tmp_path / "plain.ckpt")
    module().load_weight(tmp_path / "plain.ckpt")


def test_the_converter_meets_a_full_disk(tmp_path, monkeypatch):
    torch.save(module().mdl, tmp_path / "module.pt")
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *how: real(Path("/dev/full") if "w" in how[0] else path, *how))
    with pytest.raises(OSError, match="No space left on device") as caught:
        convert(tmp_path / "module.pt", tmp_path / "plain.ckpt")
    assert caught.value.filename == str(tmp_path / "plain.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["module.pt"]


def test_the_converter_names_mistakes(tmp_path):
    (tmp_path / "text.ckpt").write_text("text")
    torch.save([1], tmp_path / "list.ckpt")
    for name, word in (("absent", "no such file"), ("text", "zip"), ("list", "no named tensors")):
        with pytest.raises(UserError, match=word):
            convert(tmp_path / f"{name}.ckpt", tmp_path / "out.ckpt")
    with pytest.raises(UserError, match="a new file"):
        convert(tmp_path / "list.ckpt", tmp_path / "text.ckpt")
    assert not (tmp_path / "out.ckpt").exists()
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "absent.ckpt"), str(tmp_path / "out.ckpt")])
    assert caught.value.code == 2
