"""Commands and settings that cannot be: one message each, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.bad_inputs import BadInput, check, command
from tests.helpers.commands import SMALL
from tests.helpers.tiny_dataset import REPR_NAME, write_tiny_dataset

CPU = "hardware.accelerator=cpu"
Act = Callable[[Path], object]


def training(*overrides: str, program: str = "train.py") -> Act:
    """A training command on a sound dataset, with overrides that cannot be."""

    def act(folder: Path) -> None:
        root = write_tiny_dataset(folder / "in", train=1)
        steps = [] if any(o.startswith("training.max_steps") for o in overrides) else ["training.max_steps=1"]
        out = (f"dataset.path={root}", f"output.dir={folder / 'run'}", *steps) if program == "train.py" else ()
        command(program, *SMALL, *out, *(o.replace("FOLDER", str(folder)) for o in overrides))

    return act


def with_file(name: str, content: str | bytes, *overrides: str, program: str = "train.py") -> Act:
    """A command that is given a bad file, ``in/<name>``."""

    def act(folder: Path) -> None:
        (folder / "in").mkdir()
        file = folder / "in" / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        training(*(o.replace("FILE", str(file)) for o in overrides), program=program)(folder)

    return act


def split(content: Any) -> Act:
    """Training with a split file of this content."""
    text = content if isinstance(content, str) else json.dumps(content)
    return with_file("split.json", text, "dataset.split_file=FILE")


def splits(*overrides: str) -> Act:
    """scripts/make_splits.py with overrides that cannot be."""

    def act(folder: Path) -> None:
        root = write_tiny_dataset(folder / "in", train=1, val=0, test=0)
        command("scripts/make_splits.py", "dataset=synthetic", f"dataset.path={root}", *overrides)

    return act


def new_dataset(yaml: str) -> Act:
    """A dataset's YAML of one's own that cannot be."""

    def act(folder: Path) -> None:
        file = folder / "in" / "dataset" / "mine.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(yaml)
        command("train.py", "--config-dir", folder / "in", "dataset=mine", CPU, f"output.dir={folder / 'run'}")

    return act


def missing_index(folder: Path) -> None:
    root = write_tiny_dataset(folder / "in", train=1)
    (root / "train" / "train_00" / "event_representations_v2" / REPR_NAME / "objframe_idx_2_repr_idx.npy").unlink()
    command("train.py", *SMALL, f"dataset.path={root}", f"output.dir={folder / 'run'}", "training.max_steps=1")


def weights_only(folder: Path) -> None:
    (folder / "in").mkdir()
    torch.save({"state_dict": {"mdl.x": torch.zeros(1)}}, folder / "in" / "weights.ckpt")
    training("checkpoint=FOLDER/in/weights.ckpt")(folder)


def another_network(folder: Path) -> None:
    (folder / "in").mkdir()
    config = {"model": {"name": "rnndet", "backbone": {"name": "MaxViTRNN", "embed_dim": 8}}}
    torch.save({"state_dict": {}, "hyper_parameters": {"config": config}}, folder / "in" / "small.ckpt")
    checkpoint = f"checkpoint={folder / 'in' / 'small.ckpt'}"
    data = f"dataset.path={folder / 'in'}"
    command("val.py", "dataset=synthetic", data, CPU, checkpoint, "model.backbone.embed_dim=64")


def case(name: str, act: Act, *expect: str) -> BadInput:
    return BadInput("settings", name, act, expect, leaves=("run/.run.lock",))  # an empty file, the folder was reserved


LOOK, SOFT, IGNORE = "scripts/inspect_dataset.py", "model=rnndet-soft", "dataset.pseudo_label.ignore_thresh"
OBJ = "dataset.pseudo_label.obj_thresh"
NOISE = np.random.default_rng(0).bytes(1000)

CASES = [
    case("a typo in a key", training("training.max_step=3"), "did you mean 'training.max_steps'"),
    case("an unknown dataset", lambda _: command("train.py", "dataset=gen7"), "gen1, gen4", "did you mean"),
    case(
        "a dataset by the path of its file",
        lambda _: command("train.py", "dataset=/own/walkway.yaml"),
        "--config-dir /own",
    ),
    case("an unknown experiment", lambda _: command("train.py", "+experiment/gen1=huge"), "base, base-deep, small"),
    case("no such dataset folder", training("dataset.path=FOLDER/nowhere"), "dataset.path", "no such folder"),
    case("fewer classes than the labels have", training("dataset.classes=[car]"), "class id 1", "dataset.classes"),
    case("a sequence without its index", missing_index, "objframe_idx_2_repr_idx.npy"),
    case("another sensor size", training("dataset.sensor_hw=[96,96]"), "sensor_hw"),
    case("frames of another length", training("dataset.representation.dt_ms=20"), "dt=20_nbins=10"),
    case("a split that is not there", training("dataset.path=FOLDER/in/train"), "no such folder"),
    case("no steps", training("training.max_steps=0"), "training.max_steps"),
    case("many steps", training("training.max_steps=many"), "training.max_steps", "many"),
    case("an unknown optimiser", training("training.optimizer.kind=lion"), "training.optimizer.kind", "adam or sgd"),
    case("an unknown schedule", training("training.lr_scheduler.kind=poly"), "training.lr_scheduler.kind"),
    case("an unknown clipping", training("training.gradient_clip_algorithm=l2"), "value or norm"),
    case(
        "a group of weights that are none",
        training("+training.optimizer.groups.neck.learning_rate=0.1"),
        "training.optimizer.groups",
        "backbone",
    ),
    case(
        "channels that the frames have not",
        training("model.backbone.input_channels=3"),
        "20, as the dataset has",
        "model.backbone.input_channels",
    ),
    case("no lanes", training("batch_size.train=0"), "batch_size.train"),
    case("one lane for two kinds of sampling", training("batch_size.train=1"), "two lanes or more", "sampling=stream"),
    case("an unknown way of sampling", training("dataset.train.sampling=streem"), "random, stream or mixed"),
    case(
        "samples longer than the sequences",
        training("dataset.sequence_length=99", "dataset.train.sampling=random"),
        "98 frames before it",
    ),
    case("an unknown representation", training("dataset.representation.kind=picture"), "stacked_histogram"),
    case("a share above 1", training("dataset.ratio=2"), "(0, 1]", "ratio"),
    case("weak and semi supervision at once", training("dataset.ratio=0.1", "dataset.train_ratio=0.1"), "at most one"),
    case("a split file that is not there", training("dataset.split_file=none.json"), "none.json"),
    case("a split file that is no JSON", split("{"), "a readable JSON file"),
    case("a split file of numbers", split([1, 2]), "[sequence names]"),
    case("a split file of another dataset", split({"17-03-30_12-53-58_1037500000_1097500000": [1]}), "none of them"),
    case("a split file with a label too many", split({"train_00": [0, 24]}), "indices below 24"),
    case("a split file with a negative label", split({"train_00": [-1]}), "train_00"),
    case("a split of no kind", splits("output=x.json"), "dataset.ratio (weak)"),
    case("a split without a file to write", splits("dataset.ratio=0.5"), "output=FILE.json"),
    case("an offset as large as the step", splits("dataset.ratio=0.5", "offset=2", "output=x.json"), "below 2"),
    case("three thresholds for two classes", training(SOFT, f"{IGNORE}=[1,2,3]"), "3 numbers"),
    case("a threshold in words", training(SOFT, f"{IGNORE}=high"), "'high'"),
    case("a threshold of a class that is none", training(f"{OBJ}={{car:0.6,bus:0.3}}"), "car, pedestrian", "{car:0.6"),
    case("a threshold that only labelling reads", training(f"{OBJ}=[0.6,0.3,0.1]"), "3 numbers", "obj_thresh"),
    case("a checkpoint to go on from that is weights only", weights_only, "weight=FILE"),
    case("no checkpoint to evaluate", training("dataset.path=FOLDER/in", program="val.py"), "checkpoint=FILE"),
    case(
        "a checkpoint that is not there",
        training("dataset.path=FOLDER/in", "checkpoint=FOLDER/none.ckpt", program="val.py"),
        "no such file",
    ),
    case(
        "a checkpoint of random bytes",
        with_file("noise.ckpt", NOISE, "dataset.path=FOLDER/in", "checkpoint=FILE", program="val.py"),
        "noise.ckpt",
    ),
    case("a network that contradicts the checkpoint", another_network, "embed_dim=64", "embed_dim=8", "leave"),
    case("no teacher to label with", lambda f: command("predict.py", f"save_dir={f / 'out'}"), "checkpoint=FILE"),
    case("no recordings to preprocess", lambda _: command("scripts/preprocess_dataset.py"), "raw_path=VALUE"),
    case(
        "labels to judge that are not there",
        lambda f: command("val_dst.py", f"dataset.path={f / 'none'}"),
        "predict.py wrote",
    ),
    case("a picture of a kind nobody draws", lambda f: command(LOOK, f"path={f}", "save_picture=a.bmp"), ".html"),
    case("nothing to inspect", lambda _: command(LOOK), "path=FOLDER"),
    case("a dataset's YAML that is none", new_dataset("name: [gen1"), "mine.yaml"),
    case("a dataset's YAML without a base", new_dataset("name: mine\n"), "dataset."),
    case("a dataset's YAML with an unknown base", new_dataset("defaults: [gen9, _self_]\nname: mine\n"), "gen9"),
    case("classes that are no list", training("dataset.classes=2"), "dataset.classes"),
    case("a sensor of one number", training("dataset.sensor_hw=[128]"), "dataset.sensor_hw"),
]


@pytest.mark.parametrize("bad", CASES, ids=str)
def test_bad_setting(bad: BadInput, tmp_path: Path) -> None:
    check(bad, tmp_path)
