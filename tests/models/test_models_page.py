"""The table of presets in docs/MODELS.md is what the configs build."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import hydra
import pytest
import torch
from omegaconf import OmegaConf

from config.resolvers import register_resolvers
from models.detection.rnndet.build import detector_config
from models.detection.rnndet.detector import YoloXDetector
from utils.commands.cli import CONFIG_DIR

PAGE = (Path(__file__).parents[2] / "docs" / "MODELS.md").read_text(encoding="utf-8")
PAPERS = {"tiny": "4.4", "small": "9.9", "base": "18.5"}
PRESETS = [
    (dataset, file.stem)
    for dataset in ("gen1", "gen4")
    for file in sorted((CONFIG_DIR / "experiment" / dataset).glob("[!_]*.yaml"))
]


def compose(dataset, preset, *overrides):
    register_resolvers()
    overrides = [f"dataset={dataset}", f"+experiment/{dataset}={preset}", *overrides]
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return OmegaConf.to_container(hydra.compose("train", overrides=overrides), resolve=True)


def row(dataset, preset):
    """Line of the table for a preset."""
    model = compose(dataset, preset)["model"]
    with torch.device("meta"):
        detector = YoloXDetector(detector_config(model))
    parts = (detector.backbone, detector.fpn, detector.yolox_head, detector)
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    backbone = model["backbone"]
    blocks = " ".join(str(n) for n in backbone["num_blocks"])
    cells = [preset, dataset, backbone["embed_dim"], blocks, *counts, f"{counts[-1] / 1e6:.1f}"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


@pytest.mark.parametrize(("dataset", "preset"), PRESETS)
def test_the_table_is_what_the_configs_build(dataset, preset):
    line = row(dataset, preset)
    assert line in PAGE, f"docs/MODELS.md should have\n{line}"
    if preset in PAPERS:
        assert line.endswith(f"| {PAPERS[preset]} |")


BACKBONES = sorted(
    file.stem for file in (CONFIG_DIR / "model").glob("rnndet-*.yaml") if "timm_name" in file.read_text()
)


def backbone_row(name):
    """Line of the table for a network of timm, with base's width."""
    model = compose("gen1", "base", f"model={name}")["model"]
    with torch.device("meta"):
        detector = YoloXDetector(detector_config(model))
    parts = (detector.backbone, detector.fpn, detector.yolox_head, detector)
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    backbone = model["backbone"]
    cells = [f"`model={name}`", backbone["timm_name"], backbone["recurrence"], *counts, f"{counts[-1] / 1e6:.1f}"]
    return f"| {' | '.join(str(cell) for cell in cells)} |"


@pytest.mark.parametrize("name", BACKBONES)
def test_the_table_of_other_backbones_is_what_the_configs_build(name):
    line = backbone_row(name)
    assert line in PAGE, f"docs/MODELS.md should have\n{line}"


def test_the_tables_have_no_other_rows():
    cells = [[cell.strip() for cell in line.split("|")] for line in PAGE.splitlines() if line.startswith("|")]
    assert sum(row[2] in ("gen1", "gen4") for row in cells) == len(PRESETS)
    assert sum(row[1].startswith("`model=") for row in cells) == len(BACKBONES)


@pytest.mark.parametrize("dataset", ["gen1", "gen4"])
@pytest.mark.parametrize(
    ("preset", "blocks", "channels", "heads"),
    [("small-deep", [2, 3, 3, 2], 48, 24), ("base-deep", [2, 3, 6, 2], 96, 32)],
)
def test_deep_presets(dataset, preset, blocks, channels, heads):
    config = compose(dataset, preset)
    backbone = config["model"]["backbone"]
    assert backbone["num_blocks"] == blocks
    assert (backbone["embed_dim"], backbone["attention"]["dim_head"]) == (channels, heads)
    assert backbone["T_max_chrono_init"] == [10, 20, 40, 80]
    assert backbone["lstm"]["dws_conv"]
    assert "-deep-" in config["output"]["dir"]
    assert config["output"]["dir"] != compose(dataset, preset.removesuffix("-deep"))["output"]["dir"]


def test_compile_is_a_config_key():
    overrides = ("model.backbone.compile.enable=true", "model.backbone.compile.mode=max-autotune")
    config = detector_config(compose("gen1", "tiny", *overrides)["model"])
    assert config.backbone.compile.enable
    assert config.backbone.compile.mode == "max-autotune"
    assert not detector_config(compose("gen1", "tiny")["model"]).backbone.compile.enable


def test_every_option_of_the_page_is_a_config_key():
    overrides = {
        "T_max_chrono_init": (5, 10, 20, 40),
        "enable_masking": True,
        "use_gradient_checkpointing": True,
        "attention.mlp_gated": True,
        "attention.drop_path": 0.1,
        "attention.drop_mlp": 0.2,
        "lstm.dws_conv": True,
        "lstm.drop_cell_update": 0.3,
    }
    given = [f"model.backbone.{key}={list(v) if isinstance(v, tuple) else v}" for key, v in overrides.items()]
    config = detector_config(compose("gen1", "tiny", *given)["model"]).backbone
    for key, value in overrides.items():
        assert attrgetter(key)(config) == value
        assert f"`{key}`" in PAGE
    assert detector_config(
        compose("gen1", "tiny", "model.backbone.plain_arithmetic=true")["model"]
    ).backbone.plain_arithmetic
    assert "`plain_arithmetic`" in PAGE
