"""Every dataset, model and experiment composes; keys are commented; mistakes give one message."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import hydra
import pytest
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from config.resolvers import per_class, register_resolvers
from utils.commands.cli import CONFIG_DIR, explain
from utils.errors import UserError

register_resolvers()

DATASETS = sorted(file.stem for file in (CONFIG_DIR / "dataset").glob("[!_]*.yaml"))


@cache
def compose(name: str, *overrides: str) -> DictConfig:
    """What a program is configured with; not to be changed, as every test that asks for it gets the same one."""
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose(name, overrides=list(overrides))


VARIANTS = [name for name in DATASETS if "x0." in name]
ONE_OF_EACH_KIND = [*(name for name in DATASETS if name not in VARIANTS), "gen1x0.01_ss", "gen4x0.1_seq-2round"]


def settings_of(dataset: str) -> DictConfig:
    """``dataset`` of the program with the fewest settings beside it."""
    return compose("inspect_dataset", f"dataset={dataset}").dataset


@pytest.mark.parametrize("dataset", ONE_OF_EACH_KIND)
def test_every_dataset_composes(dataset: str) -> None:
    """Training with soft anchors: the model that reads most of a dataset's settings."""
    cfg = compose("train", f"dataset={dataset}", "model=rnndet-soft")
    OmegaConf.to_container(cfg, resolve=True)
    assert cfg.model.head.num_classes == len(cfg.dataset.classes) == len(cfg.model.head.ignore_bbox_thresh)
    assert all(size % (32 * cfg.model.backbone.partition_split_32) == 0 for size in cfg.model.backbone.in_res_hw)


def test_variants_are_one_short_file_each() -> None:
    assert len(VARIANTS) == 2 * 4 * 2 * 3  # datasets, shares, weak or semi, rounds
    for name in VARIANTS:
        lines = (CONFIG_DIR / "dataset" / f"{name}.yaml").read_text().splitlines()
        assert len(lines) <= 8
        assert lines[0].startswith("# "), "says what it is"


@pytest.mark.parametrize(
    "program", ["train", "predict", "val", "val_dst", "preprocess", "make_splits", "inspect_dataset"]
)
@pytest.mark.parametrize("dataset", ["gen1x0.01_ss", "gen4x0.1_seq-2round", "pedro"])
def test_datasets_compose_with_every_program(program: str, dataset: str) -> None:
    more = ["raw_path=raw"] if program == "preprocess" else ["save_dir=out"] if program == "predict" else []
    OmegaConf.to_container(compose(program, f"dataset={dataset}", *more), resolve=True)


@pytest.mark.parametrize("dataset", VARIANTS)
def test_variants_mean_what_they_are_called(dataset: str) -> None:
    cfg = settings_of(dataset)
    OmegaConf.to_container(cfg, resolve=True)
    base, _, rest = dataset.partition("x")
    share, kind = rest.split("-")[0].split("_")
    asked = (cfg.ratio, cfg.train_ratio)
    if "round" in dataset:
        assert asked == (None, None), "every label of a pseudo dataset is used"
        assert cfg.path.rstrip("/") == f"./datasets/pseudo_{base}/{dataset}"
    else:
        assert asked == ((float(share), None) if kind == "ss" else (None, float(share)))
        assert cfg.path == f"./datasets/{base}/"
    assert cfg.name == dataset


def keys_of(cfg: DictConfig, prefix: str = "") -> set[str]:
    found = set()
    for key, value in cfg.items():
        found |= keys_of(value, f"{prefix}{key}.") if isinstance(value, DictConfig) else {f"{prefix}{key}"}
    return found


@pytest.mark.parametrize("dataset", DATASETS)
def test_datasets_know_no_keys_of_their_own(dataset: str) -> None:
    """A key that a single dataset has would be read by nobody, or by code for this dataset only."""
    assert keys_of(settings_of(dataset)) == keys_of(compose("train").dataset)


def test_published_sizes() -> None:
    gen1 = compose("train", "dataset=gen1", "+experiment/gen1=small.yaml")
    gen4 = compose("train", "dataset=gen4", "+experiment/gen4=base")
    assert list(gen1.model.backbone.in_res_hw) == [256, 320]
    assert list(gen1.model.backbone.partition_size) == [8, 10]
    assert list(gen4.model.backbone.in_res_hw) == [384, 640]
    assert list(gen4.model.backbone.partition_size) == [6, 10]
    assert (gen1.model.backbone.embed_dim, gen4.model.backbone.embed_dim) == (48, 64)
    assert gen1.output.dir == "./checkpoint/rvt-s-gen1-bs8_iter400k"


def test_two_thresholds_for_three_classes_mean_car_and_others() -> None:
    cfg = compose("train", "dataset=gen4x0.01_ss", "model=rnndet-soft")
    assert list(cfg.model.head.ignore_bbox_thresh) == [0.55, 0.55, 0.7]
    with pytest.raises(UserError, match="one number"):
        per_class([0.1, 0.2, 0.3, 0.4], [1, 1, 0])


BASE_FILES = [
    "general",
    "training/default",
    "hardware/default",
    "logging/default",
    "run_folder/default",
    "model/rnndet",
    "model/pseudo_labeler",
    "dataset/_base",
    "augmentation/random",
    "augmentation/stream",
    "semi/mean_teacher",
    "self_train",
    "val",
    "predict",
    "val_dst",
    "preprocess",
    "make_splits",
    "inspect_dataset",
]


@pytest.mark.parametrize("name", BASE_FILES)
def test_every_key_is_commented(name: str) -> None:
    text = (CONFIG_DIR / f"{name}.yaml").read_text()
    head = re.split(r"^hydra:", text, flags=re.MULTILINE)[0]
    keys = re.findall(r"^ *\w+: +[^\n]*$", head, flags=re.MULTILINE)
    bare = [key for key in keys if "#" not in key]
    assert not bare, f"keys without a comment in config/{name}.yaml: {bare}"


def mistake(*overrides: str) -> UserError:
    with pytest.raises(HydraException) as caught:
        compose("train", *overrides)
    return explain(caught.value, "train")


def test_a_typo_is_answered_with_the_nearest_key() -> None:
    error = mistake("training.max_stesp=3")
    assert "training.max_stesp" in error.got
    assert "'training.max_steps'" in error.fix


@pytest.mark.parametrize(
    ("short", "key"),
    [
        ("seed", "reproduce.seed_everything"),
        ("lr", "training.learning_rate"),
        ("max_steps", "training.max_steps"),
        ("epochs", "training.max_epochs"),
        ("model.seed", "reproduce.seed_everything"),
    ],
)
def test_a_part_of_a_key_is_answered_with_the_key(short: str, key: str) -> None:
    assert mistake(f"{short}=3").fix.startswith(f"did you mean '{key}'")


def test_an_unknown_dataset_lists_the_choices() -> None:
    error = mistake("dataset=gen5")
    assert "gen1, gen4, pedro" in error.expected
    assert "more that begin like these" in error.expected
    assert error.got == "'gen5'"


def test_new_dataset_needs_one_file_only(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text(
        "defaults: [gen1, _self_]\nname: mine\nclasses: [a, b, c]\nsensor_hw: [200, 300]\n"
        "pseudo_label: {threshold_index: [0, 1, 1]}\n"
    )
    cfg = compose("train", f"hydra.searchpath=[file://{tmp_path}]", "dataset=mine")
    assert cfg.model.head.num_classes == 3
    assert list(cfg.model.backbone.in_res_hw) == [224, 320]


def test_a_model_brings_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "rnndet-soft.yaml").write_text(
        "# @package _global_\ntraining: {gradient_clip_algorithm: norm, learning_rate: 0.5}\n"
    )
    found = f"hydra.searchpath=[file://{tmp_path}]"
    cfg = compose("train", found, "model=rnndet-soft", "training.learning_rate=0.1")
    assert (cfg.training.gradient_clip_algorithm, cfg.training.learning_rate) == ("norm", 0.1)
    assert compose("train", found).training.gradient_clip_algorithm == "value"


def test_runs_are_named_by_the_size_of_their_model() -> None:
    names = {
        ("+experiment/gen1=tiny",): "rvt-t-gen1-bs8_iter400k",
        ("dataset=gen4", "+experiment/gen4=small-deep"): "rvt-s-deep-gen4-bs24_iter400k",
        ("model=rnndet-soft", "model.backbone.embed_dim=40"): "rvt-soft-d40-gen1-bs8_iter400k",
        ("model=rnndet-resnet50", "training.max_steps=1500"): "timm-resnet50-gen1-bs8_iter1500",
    }
    assert {overrides: compose("train", *overrides).output.name for overrides in names} == names


@pytest.mark.parametrize("preset", sorted(file.stem for file in (CONFIG_DIR / "debug").glob("*.yaml")))
def test_debug_presets_have_a_folder_of_their_own(preset: str) -> None:
    assert compose("train", f"+debug={preset}").output.name.startswith(f"debug-{preset}-")
    assert preset in (CONFIG_DIR / "train.yaml").read_text()
