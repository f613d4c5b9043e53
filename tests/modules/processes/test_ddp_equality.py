"""Two processes that train together do what one process with all their lanes does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from config.resolvers import register_resolvers
from models.detection.rnndet.build import detector_config
from models.detection.rnndet.detector import YoloXDetector
from modules.detection import Module
from modules.processes.batch_norm import CpuSyncBatchNorm, SyncedBatchNorm2d
from modules.utils import fetch
from tests.helpers.commands import SMALL, run
from tests.helpers.forked_processes import run_together, together
from tests.helpers.made_once import MadeOnce
from utils.commands.cli import CONFIG_DIR
from utils.settings import plain

STEPS = 3
HEAD = ("model.head.bbox_loss_weighting=objxcls", "model.head.use_l1=true")


def detector() -> YoloXDetector:
    register_resolvers()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("train", overrides=["dataset.path=none", *SMALL, *HEAD])
    torch.manual_seed(0)
    return YoloXDetector(detector_config(plain(cfg)["model"])).double().train()


def batch(lanes: slice) -> tuple[Tensor, Tensor]:
    """Frames [L, B, C, H, W] and targets of every frame [L * B, M, 7]; lanes differ much in their boxes."""
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 4, (2, 4, 20, 64, 96), generator=generator).double()
    targets = torch.zeros(2, 4, 3, 7, dtype=torch.float64)
    for lane, count in enumerate((3, 1, 0, 2)):
        for box in range(count):
            scores = torch.rand(2, generator=generator).tolist()
            targets[:, lane, box] = torch.tensor([box % 2, 20 + 22 * box, 30, 18 + 4 * lane, 20, *scores])
    return frames[:, lanes], targets[:, lanes].flatten(0, 1)


def gradients(model: YoloXDetector, lanes: slice) -> dict[str, Tensor]:
    """Gradients, batch-norm buffers and loss of one training batch."""
    frames, targets = batch(lanes)
    features, _ = model.forward_sequence(frames, None, None)
    _, losses = model.forward_detect({stage: feature.flatten(0, 1) for stage, feature in features.items()}, targets)
    assert losses is not None
    losses["loss"].backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return found | {name: b.double() for name, b in model.named_buffers()} | {"loss": losses["loss"].detach()}


def gradients_of_rank(folder: Path) -> None:
    rank = int(os.environ["LOCAL_RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=2)
    model = detector()
    CpuSyncBatchNorm().apply(model)
    found = gradients(model, slice(2 * rank, 2 * rank + 2))
    buffers = {name for name, _ in model.named_buffers()}
    for name, value in found.items():
        if name not in buffers:
            dist.all_reduce(value)
            value /= 2  # as DDP does
    if rank == 0:
        torch.save(found, folder / "gradients.pt")
    dist.destroy_process_group()


def test_gradients_losses_and_batch_norm_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    assert together(2, tmp_path, gradients_of_rank, tmp_path) == [0, 0], (tmp_path / "rank0.txt").read_text()
    shared = torch.load(tmp_path / "gradients.pt", weights_only=True)
    alone = gradients(detector(), slice(0, 4))
    assert shared.keys() == alone.keys()
    for name, expected in alone.items():
        limit = 1e-9 * max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(
            shared[name], expected, rtol=0, atol=limit, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_synced_batch_norm_alone_is_batch_norm() -> None:
    plain_norm, values = torch.nn.BatchNorm2d(5), torch.randn(3, 5, 4, 6)
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(5))
    CpuSyncBatchNorm().apply(model)
    assert type(model[0]) is SyncedBatchNorm2d
    torch.testing.assert_close(model(values), plain_norm(values), rtol=0, atol=0)
    CpuSyncBatchNorm().revert(model)
    assert type(model[0]) is torch.nn.BatchNorm2d
    assert model.state_dict().keys() == {f"0.{name}" for name in plain_norm.state_dict()}


@pytest.fixture(scope="module")
def dataset(made_once: MadeOnce) -> Path:
    return made_once.dataset(train=4, val=3)


def training(dataset: Path, out: Path, lanes: int, *more: str) -> tuple[str, ...]:
    return (
        *SMALL, f"dataset.path={dataset}", f"output.dir={out}", "hardware.num_workers.eval=0",
        "hardware.accelerator=cpu", f"training.max_steps={STEPS}", f"batch_size.train={lanes}",
        f"batch_size.eval={lanes}", "training.learning_rate=0.001", "training.lr_scheduler.use=false",
        "dataset.train.sampling=mixed", *more,
    )  # fmt: skip


def saved(run_folder: Path) -> dict[str, Any]:
    return torch.load(run_folder / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture
def double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let train.py compute in float64: Adam divides by a gradient's own size and turns float32's noise into steps."""
    build, prepare = fetch.fetch_model_module, Module.prepare

    def prepared(self: Module, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        inputs, mask = prepare(self, frames)
        return inputs.double(), mask

    monkeypatch.setattr(fetch, "fetch_model_module", lambda config: build(config).double())
    monkeypatch.setattr(Module, "prepare", prepared)


@pytest.mark.usefixtures("double_precision")
def test_two_processes_end_with_the_weights_and_figures_of_one(dataset: Path, tmp_path: Path) -> None:
    assert run("train.py", *training(dataset, tmp_path / "one", 4)) == 0
    statuses = run_together(2, tmp_path, "train.py", *training(dataset, tmp_path / "two", 2))
    assert statuses == [0, 0], (tmp_path / "rank0.txt").read_text()
    one, two = saved(tmp_path / "one"), saved(tmp_path / "two")
    assert one.keys() == two.keys()
    assert all(value.dtype == torch.float64 for value in one.values() if value.is_floating_point())
    for name, expected in one.items():  # each step moves a weight by about 1e-3
        torch.testing.assert_close(
            two[name], expected, rtol=0, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
        )
    figures = [json.loads((tmp_path / name / "done.json").read_text()) for name in ("one", "two")]
    assert figures[0] == figures[1]


def test_one_and_three_processes_evaluate_alike_to_the_last_digit(
    dataset: Path, made_once: MadeOnce, tmp_path: Path
) -> None:
    settings = (
        *SMALL, f"dataset.path={dataset}", "batch_size.eval=1", "hardware.num_workers.eval=0",
        "hardware.accelerator=cpu", f"checkpoint={made_once.teacher()}",
    )  # fmt: skip
    figures = []
    for world in (1, 3):
        file = tmp_path / f"{world}.json"
        statuses = run_together(world, tmp_path, "val.py", *settings, f"save_json={file}")
        assert statuses == [0] * world, (tmp_path / "rank0.txt").read_text()
        figures.append(json.loads(file.read_text())["figures"])
    assert 0 < figures[0]["AP_50"] < 1
    assert figures[0] == figures[1]


BUCKETS = "hardware.ddp.bucket_cap_mb=1"
SHORT = ("training.max_steps=3", "validation.limit_val_batches=1")


@pytest.fixture(scope="module")
def plain_run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("plain")
    assert run_together(2, out, "train.py", *training(dataset, out / "run", 2, *SHORT)) == [0, 0]
    return saved(out / "run")


@pytest.mark.parametrize(
    ("settings", "exact"),
    [
        pytest.param((BUCKETS, "hardware.ddp.static_graph=true"), True, marks=pytest.mark.soak),
        pytest.param(
            ("hardware.ddp.find_unused_parameters=true", "hardware.ddp.gradient_as_bucket_view=false"),
            True,
            marks=pytest.mark.soak,
        ),
        pytest.param(("hardware.ddp.gradient_compression=bf16",), False, marks=pytest.mark.soak),
        ((BUCKETS, "hardware.ddp.gradient_compression=powersgd", "hardware.ddp.powersgd_start_iter=2"), False),
    ],
)
def test_ddp_settings_reach_training(
    dataset: Path, plain_run: dict[str, Any], tmp_path: Path, settings: tuple[str, ...], exact: bool
) -> None:
    arguments = training(dataset, tmp_path / "set", 2, *SHORT, *settings)
    assert run_together(2, tmp_path, "train.py", *arguments) == [0, 0], (tmp_path / "rank0.txt").read_text()
    other = saved(tmp_path / "set")
    worst = max(float((plain_run[name].double() - other[name].double()).abs().max()) for name in plain_run)
    assert worst < (1e-4 if exact else 1e-1)
    assert exact or worst > 0, "compressed gradients are other gradients"
