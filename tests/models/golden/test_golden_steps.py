"""Six optimiser steps through the training module, and the shipped learning-rate schedules, against golden numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import hydra
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from config.resolvers import register_resolvers
from data.labels.batched_labels import BatchedLabels
from data.labels.object_labels import ObjectLabels
from data.payloads.frames import FrameInputs
from modules.detection import Module
from modules.optim import build_optimizer, build_scheduler
from tests.helpers.float32_rounding import golden_dtype
from tests.models.conftest import GOLDEN, assert_near, load_golden
from utils.commands.cli import CONFIG_DIR

RECORD = json.loads((GOLDEN / "03b_optim.json").read_text())
STEPS = RECORD["steps_fp32"]
EXACT = RECORD["steps_fp64"]
LOSSES = ("loss", "iou_loss", "conf_loss", "cls_loss", "l1_loss", "num_fg")
NORMS = ("lr", "grad_absmax_before_clip", "param_norm", "bn_mean_norm")
SMALL = ("sensor_hw=[60,90]", "downsample_by_factor_2=false", "partition_split_32=1", "sequence_length=4")


def compose(*overrides):
    register_resolvers()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("train", overrides=list(overrides))
    return OmegaConf.to_container(cfg, resolve=True)


def small_config(*overrides):
    return compose(
        "dataset=gen1",
        "+experiment/gen1=tiny",
        *(f"dataset.{override}" for override in SMALL),
        "training.lr_scheduler.total_steps=20",
        "training.lr_scheduler.pct_start=0.2",
        *overrides,
    )


def batches(arrays) -> Iterator[dict]:
    """Training batches in the loader's form: frames unpadded, labels as rows with the frame they belong to."""
    for s, step in enumerate(STEPS):
        ev = arrays[f"step{s}/ev"]
        hw = ev.shape[-2:]
        rows = [[arrays.get(f"step{s}/labels_t{t}_b{b}") for b in range(ev.shape[1])] for t in range(len(ev))]
        labels = [[None if r is None else ObjectLabels(torch.from_numpy(r), hw) for r in line] for line in rows]
        yield {
            "worker_id": 0,
            "inputs": FrameInputs(torch.from_numpy(ev)),
            "labels": BatchedLabels.from_lists(labels, hw),
            "is_first": torch.tensor(step["is_first"]),
        }


class Recorder(pl.Callback):
    """Notes what the reference's record holds: losses, rate and largest gradient before clipping, then norms."""

    def __init__(self):
        self.steps = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        largest = max(float(p.grad.abs().max()) for p in pl_module.parameters() if p.grad is not None)
        self.steps.append({"grad_absmax_before_clip": largest, "lr": optimizer.param_groups[0]["lr"]})

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        figures = trainer.callback_metrics
        self.steps[-1] |= {key: float(figures[f"train/{key}"]) for key in LOSSES}
        squares = sum(p.detach().double().square().sum() for p in pl_module.mdl.parameters())
        means = [b for name, b in pl_module.mdl.named_buffers() if name.endswith("running_mean")]
        self.steps[-1]["param_norm"] = float(squares) ** 0.5
        self.steps[-1]["bn_mean_norm"] = float(sum(b.double().square().sum() for b in means)) ** 0.5


class DoubleModule(Module):
    """The training module in float64; its losses are kept before they are rounded for the log."""

    def prepare(self, frames):
        padded, mask = super().prepare(frames)
        return padded.double(), mask

    def on_fit_start(self):
        inner = self.mdl.forward_detect
        self.losses = []

        def keeping(*args):
            predictions, losses = inner(*args)
            self.losses.append({key: float(losses[key].detach()) for key in LOSSES})
            return predictions, losses

        self.mdl.forward_detect = keeping


def six_steps(module, tiny_weights, directory):
    """The module after six steps of the real trainer: states carried, gradients clipped by value, rates per step."""
    arrays = load_golden("03b_optim")
    module.mdl.load_state_dict(tiny_weights, strict=True)
    recorder = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=len(STEPS),
        gradient_clip_val=module.config["training"]["gradient_clip_val"],
        gradient_clip_algorithm="value",
        callbacks=[recorder],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=directory,
    )
    trainer.fit(module, DataLoader(list(batches(arrays)), batch_size=None))
    return module, recorder.steps, arrays


@pytest.fixture(scope="module")
def trained(tiny_weights, tmp_path_factory):
    return six_steps(Module(small_config()), tiny_weights, tmp_path_factory.mktemp("steps"))


@pytest.fixture(scope="module")
def trained_plain(tiny_weights, tmp_path_factory):
    config = small_config("model.backbone.plain_arithmetic=true")
    return six_steps(Module(config), tiny_weights, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def trained_double(tiny_weights, tmp_path_factory):
    return six_steps(DoubleModule(small_config()).double(), tiny_weights, tmp_path_factory.mktemp("steps64"))


def test_float64_losses_rates_and_norms_of_every_step(trained_double):
    module, steps, _ = trained_double
    assert len(steps) == len(module.losses) == len(EXACT)
    for s, (losses, found, expected) in enumerate(zip(module.losses, steps, EXACT, strict=True)):
        wanted = [expected[k] for k in LOSSES]
        assert_near([losses[k] for k in LOSSES], wanted, rtol=1e-9, name=f"step {s}")
        assert_near([found[k] for k in NORMS], [expected[k] for k in NORMS], rtol=1e-9, name=f"step {s}")


def test_plain_arithmetic_losses_of_every_step(trained_plain):
    """One step feeds the next and AdamW enlarges rounding, so this takes kernels that round as the reference's did.

    Losses are then within 1e-6 in all six steps. The largest gradient, which is one element, is within 1e-5 in the
    first four and within 2.0e-5 after. Elsewhere the float64 test stands for this one.
    """
    _, steps, _ = trained_plain
    alike = golden_dtype() == torch.float32
    for s, (found, expected) in enumerate(zip(steps, STEPS, strict=True)):
        if alike:
            assert_near([found[k] for k in LOSSES], [expected[k] for k in LOSSES], rtol=1e-6, name=f"step {s}")
        if alike and s < 4:
            assert found["grad_absmax_before_clip"] == pytest.approx(expected["grad_absmax_before_clip"], rel=1e-5)


@pytest.mark.parametrize("run", ["trained", "trained_plain"])
def test_losses_rates_and_norms_of_every_step(run, request):
    """The fast path's losses after the first step drift from 1.1e-6 to 8e-6, the reference's own from float64 to 5e-6.

    Its losses are compared in the first step, here, and in every step in float64, above.
    """
    _, steps, _ = request.getfixturevalue(run)
    assert len(steps) == len(STEPS)
    for expected in (STEPS[0], EXACT[0]) if golden_dtype() == torch.float32 else ():
        assert_near([steps[0][k] for k in LOSSES], [expected[k] for k in LOSSES], rtol=1e-6)
        assert steps[0]["grad_absmax_before_clip"] == pytest.approx(expected["grad_absmax_before_clip"], rel=1e-5)
    for found, expected in zip(steps, STEPS, strict=True):
        assert found["lr"] == pytest.approx(expected["lr"], rel=1e-9)
        assert found["param_norm"] == pytest.approx(expected["param_norm"], rel=1e-7)
        assert found["bn_mean_norm"] == pytest.approx(expected["bn_mean_norm"], rel=1e-6)


@pytest.mark.parametrize("run", ["trained", "trained_plain", "trained_double"])
def test_parameters_and_buffers_after_six_steps(run, request):
    module, _, arrays = request.getfixturevalue(run)
    state = {f"mdl.{name}": value for name, value in module.mdl.state_dict().items()}
    norms = dict(zip(arrays["final_norm_names"], arrays["final_norms"], strict=True))
    compared = 0
    for key, value in arrays.items():
        name = key.removeprefix("final/")
        if name == key:
            continue
        found, expected = state[name].numpy(), value
        if name.endswith("qkv.bias"):  # the keys' bias has no gradient but rounding, which AdamW blows up
            third = np.arange(len(value)) // 32 % 3 != 1
            found, expected = found[third], expected[third]
        compared += 1
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=5e-5, err_msg=name)
    assert compared > 200
    for name, norm in norms.items():
        if not str(name).endswith("qkv.bias"):
            assert float(state[str(name)].double().norm()) == pytest.approx(norm, rel=1e-5, abs=1e-4), name


SCHEDULES = {
    "gen1": ("dataset=gen1", "+experiment/gen1=small"),
    "gen4": ("dataset=gen4", "+experiment/gen4=small"),
    "gen1_selftrain150k": (
        "dataset=gen1x0.01_ss-1round",
        "model=rnndet-soft",
        "+experiment/gen1=small",
        "training.max_steps=150000",
        "training.learning_rate=0.0005",
    ),
}


@pytest.mark.parametrize("name", RECORD["lr_schedules"])
def test_learning_rates_of_the_shipped_configs(name):
    golden = RECORD["lr_schedules"][name]
    training = compose(*SCHEDULES[name])["training"]
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(1))], training)
    assert optimizer.defaults["weight_decay"] == golden["weight_decay"]
    scheduler = build_scheduler(optimizer, training)
    assert scheduler.total_steps == golden["total_steps"]
    for step, expected in golden["lr_at_step"]:
        scheduler.last_epoch = step
        (rate,) = scheduler.get_lr()
        assert rate == pytest.approx(expected, rel=1e-6, abs=1e-12), step
