"""The data module under a Trainer: resuming in the middle of an epoch, errors from loader processes, a clean exit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from config.compose import compose
from data.augmentation.config import AugmentationConfig
from modules.data.genx import DataModule
from modules.data.settings import data_module_config
from tests.helpers.sampled_dataset import make_dataset, small_config
from utils.errors import UserError


class Recorder(pl.LightningModule):
    """Trains one number and remembers which batches it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[Any, int]] = []
        self.validated: list[Any] = []

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        self.seen.append((batch["position"], int(batch["inputs"].data.sum())))
        return self.weight * 1.0

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.validated.append(batch["position"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("dataset"), a=(30, [4, 9, 14]), b=(18, [3, 5, 17]), c=(9, [1, 8]))


def config(root: Path, **changes: Any) -> Any:
    flip = AugmentationConfig(hflip=0.5, tflip=0.5)
    return small_config(root, augmentation_random=flip, augmentation_stream=flip, **changes)


def fit(root: Path, steps: int, checkpoint: Path | None = None, **changes: Any) -> tuple[Recorder, pl.Trainer]:
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        val_check_interval=4,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = Recorder()
    trainer.fit(model, datamodule=DataModule(config(root, **changes)), ckpt_path=checkpoint, weights_only=True)
    return model, trainer


@pytest.mark.parametrize("stop", [3, 4, 8, 11])
def test_resume_sees_the_same_batches(root: Path, tmp_path: Path, stop: int) -> None:
    """Also right after a validation (4) and at an epoch's end (8 batches)."""
    whole, _ = fit(root, 15)
    assert len({position for position, _ in whole.seen}) == 15
    assert [position for position, _ in whole.seen][8] == (1, 0)
    first, trainer = fit(root, stop)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    second, _ = fit(root, 15, tmp_path / "a.ckpt", num_workers_train=1)
    assert first.seen + second.seen == whole.seen
    assert whole.validated


class SaveAfterBatch(pl.Callback):
    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("step", [6, 8, 10])
def test_resume_from_a_checkpoint_of_a_running_epoch(root: Path, tmp_path: Path, step: int) -> None:
    path = tmp_path / "running.ckpt"
    module, model = DataModule(config(root)), Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=15,
        limit_val_batches=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[SaveAfterBatch(path, step)],
    )
    trainer.fit(model, datamodule=module)
    resumed, _ = fit(root, 15, path)
    assert resumed.seen == model.seen[step:]


def test_errors_of_loader_processes_stay_what_they_are(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, a=(8, [4, 7]))
    h5 = next((root / "train" / "a").rglob("*.h5"))
    module = DataModule(small_config(root, train_sampling="random", num_workers_train=1))
    loader = module.train_dataloader()
    h5.write_bytes(b"not an HDF5 file")
    with pytest.raises(UserError) as caught:
        list(loader)
    assert str(h5) in str(caught.value)


def test_wrong_folders_and_sizes(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train"):
        DataModule(small_config(tmp_path)).setup("fit")
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match="sequence folders"):
        DataModule(small_config(tmp_path)).setup("fit")
    with pytest.raises(UserError, match="sensor_hw"):
        next(iter(DataModule(small_config(root, sensor_hw=(32, 40))).predict_dataloader()))
    with pytest.raises(UserError, match="at most one"):
        small_config(root, ratio=0.1, train_ratio=0.1)
    with pytest.raises(UserError, match="two lanes"):
        small_config(root, batch_size_train=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "readable JSON"),
        ("3", "sequence"),
        ('{"x": [0]}', "none of them"),
        ('{"a": [99]}', "99"),
        ('{"a": [0, -1]}', "index -1 for a"),
        ("[1]", "names"),
    ],
)
def test_wrong_split_files(root: Path, tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "split.json"
    file.write_text(content)
    with pytest.raises(UserError, match=message):
        DataModule(small_config(root, split_file=str(file))).setup("fit")


def test_split_file_of_sequence_names(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    file.write_text('["b"]')
    sequences = DataModule(small_config(root, split_file=str(file))).sequences("train")
    assert [bool(s.visible.any()) for s in sequences] == [False, True, False]


SCRIPT = """
import sys
from pathlib import Path
from data.batches.planned_dataset import PlannedDataset
from data.batches.loader import PlanLoader
from data.sequences.layout import SequencePaths
from data.sampling.plan import EvalPlan, PlanSampler
from data.sequences.sequence import EventSequence
from data.sampling.ranges import whole_range
from tests.helpers.sampled_dataset import REPR

sequences = [EventSequence(SequencePaths(p, REPR), (16, 20)) for p in sorted(Path(sys.argv[1], "train").iterdir())]
plan = EvalPlan([whole_range(sequences, i, 4) for i in range(3)], 4, 2)
dataset = PlannedDataset(sequences, 4, (16, 20))
loaders = [PlanLoader(dataset, PlanSampler(plan), 2, False, persistent) for persistent in (True, False)]
batches = [iter(loader) for loader in loaders]
print([len(next(each)["path"]) for each in batches])
"""


def test_loader_processes_end_with_the_program(root: Path) -> None:
    """Abandoned loaders, persistent ones too, do not keep the program from ending."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[2, 2]"
    assert "Error" not in done.stderr


def test_what_is_streamed_and_learnt_from_can_be_set() -> None:
    keys = {
        "dataset.evaluation.ratio": ("eval_ratio", 0.5),
        "dataset.evaluation.from_zero": ("eval_from_zero", True),
        "dataset.evaluation.num_stream_groups": ("num_stream_groups_eval", 2),
        "dataset.train.only_load_end_labels": ("only_load_end_labels", True),
    }
    usual, other = (
        data_module_config(compose(o)) for o in ([], [f"{key}={value}" for key, (_, value) in keys.items()])
    )
    for name, value in keys.values():
        assert getattr(usual, name) != value
        assert getattr(other, name) == value
