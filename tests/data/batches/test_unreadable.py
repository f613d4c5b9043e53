"""Frames that cannot be read in the middle of an epoch, and loader processes that die."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from data.augmentation.config import AugmentationConfig, MixConfig
from data.batches.loader import PlanLoader
from modules.data.genx import DataModule
from tests.helpers.sampled_dataset import batch_hash, make_dataset, small_config
from utils.commands.cli import run_command
from utils.commands.dead_workers import explain_dead_worker
from utils.errors import UserError

SAMPLING = ("random", "stream", "mixed")


def spoil(root: Path, name: str, first: int, count: int) -> Path:
    """Overwrite the stored bytes of some frames, as a bad disk does; returns the file."""
    path = next((root / "train" / name).rglob("*.h5"))
    with h5py.File(path, locking=False) as file:
        chunks = [file["data"].id.get_chunk_info(i) for i in range(first, first + count)]
    content = bytearray(path.read_bytes())
    for chunk in chunks:
        content[chunk.byte_offset : chunk.byte_offset + chunk.size] = os.urandom(4) + bytes(chunk.size - 4)
    path.write_bytes(content)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dataset(tmp_path, a=(30, list(range(2, 30, 3))), b=(18, [3, 5, 17]), c=(9, [1, 8]))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("sampling", SAMPLING)
def test_stops_with_file_sequence_and_frames(root: Path, sampling: str, workers: int) -> None:
    path = spoil(root, "a", 12, 3)
    loader = DataModule(small_config(root, train_sampling=sampling, num_workers_train=workers)).train_dataloader()
    with pytest.raises(UserError, match=r"sequence a, frames \d+ to \d+") as caught:
        list(loader)
    assert str(path) in str(caught.value)
    assert "training.on_bad_sequence=skip" in caught.value.fix


def test_one_message_and_exit_status(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(root, "a", 0, 30)
    module = DataModule(small_config(root, train_sampling="stream", num_workers_train=1))
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: list(module.train_dataloader()))
    err = capsys.readouterr().err
    assert stop.value.code == 2
    assert err.count("expected:") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("sampling", SAMPLING)
def test_skipping_leaves_the_other_lanes_as_they_were(root: Path, sampling: str) -> None:
    """The plan stays the same; lanes that cannot be read are empty; counted alike by any number of processes."""
    settings: dict[str, Any] = {"train_sampling": sampling, "num_stream_groups": 2}
    whole = list(DataModule(small_config(root, **settings)).train_dataloader())
    path = spoil(root, "a", 12, 3)
    runs, counts = [], []
    for workers in (0, 2):
        module = DataModule(small_config(root, on_bad_sequence="skip", num_workers_train=workers, **settings))
        runs.append(list(module.train_dataloader()))
        counts.append(dict(module.skipped))
    assert [batch_hash(b) for b in runs[0]] == [batch_hash(b) for b in runs[1]]
    assert counts[0] == counts[1] == {str(path): sum(len(b["unreadable"]) for b in runs[0])}
    assert counts[0][str(path)] > 0
    for before, after in zip(whole, runs[0], strict=True):
        for lane, name in enumerate(after["path"]):
            if name:
                assert torch.equal(before["inputs"].data[:, lane], after["inputs"].data[:, lane])
                assert torch.equal(before["labels"].labelled[:, lane], after["labels"].labelled[:, lane])
                continue
            assert after["is_padded"][:, lane].all()
            assert after["is_first"][lane]
            assert not after["inputs"].data[:, lane].any()
            assert not after["labels"].labelled[:, lane].any()
        lost = {frame for _, start, stop in after["unreadable"] for frame in range(start, stop)}
        assert not after["unreadable"] or lost & {12, 13, 14}


def test_a_file_that_cannot_be_opened(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Skipping keeps the plan, also where lengths are needed; the report says how many."""
    settings: dict[str, Any] = {"train_sampling": "stream", "ratio": 0.5}
    plan = DataModule(small_config(root, **settings)).train_plan()
    specs = [plan.batch(0, k) for k in range(len(plan))]
    path = next((root / "train" / "a").rglob("*.h5"))
    path.write_bytes(b"not an HDF5 file")
    with pytest.raises(UserError, match="sequence a"):
        DataModule(small_config(root, **settings)).train_plan()
    module = DataModule(small_config(root, on_bad_sequence="skip", **settings))
    plan = module.train_plan()
    assert [plan.batch(0, k) for k in range(len(plan))] == specs
    batches = list(module.train_dataloader())
    assert len(batches) == len(specs)
    assert module.skipped[str(path)] > 2
    module.teardown("fit")
    assert f"left out {module.skipped[str(path)]} samples of 1 files" in caplog.text


def test_nothing_readable_at_all(root: Path) -> None:
    for name in "abc":
        next((root / "train" / name).rglob("*.h5")).write_bytes(b"no")
    module = DataModule(small_config(root, on_bad_sequence="skip", train_sampling="random"))
    with pytest.raises(UserError, match="none of 3"):
        list(module.train_dataloader())


def test_a_partner_that_cannot_be_read_is_left_away(root: Path) -> None:
    mix = AugmentationConfig(mix=MixConfig(prob=1.0))
    settings: dict[str, Any] = {"train_sampling": "random", "augmentation_random": mix, "on_bad_sequence": "skip"}
    path = spoil(root, "a", 0, 30)
    module = DataModule(small_config(root, **settings))
    plain = DataModule(small_config(root, train_sampling="random"))._dataset("train", training=True)
    plan, dataset = module.train_plan(), module._dataset("train", training=True)
    alone = 0
    for k in range(len(plan)):
        spec = plan.batch(0, k)
        batch = dataset[spec]
        for lane, place in enumerate(spec.lanes):
            if place.partner is not None and place.partner.sequence == 0 and place.sequence != 0:
                frames = plain.sequences[place.sequence].reader.read(place.start, place.stop)
                assert np.array_equal(batch["inputs"].data[:, lane].numpy(), frames)
                assert batch["labels"].labelled[-1, lane]
                alone += 1
        assert all(file == str(path) for file, _, _ in batch["unreadable"])
    assert alone > 0


def test_evaluation_always_stops(root: Path) -> None:
    path = next((root / "val" / "a").rglob("*.h5"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    module = DataModule(small_config(root, on_bad_sequence="skip"))
    with pytest.raises(UserError, match="sequence a"):
        list(module.val_dataloader()[0])


# Loader processes that die.
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_dead_loader_process_is_explained(
    root: Path, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    module = DataModule(small_config(root, train_sampling="stream", num_workers_train=1))
    loader = module.train_dataloader()
    assert isinstance(loader, PlanLoader)
    dataset = loader.dataset

    class Deadly(type(dataset)):  # type: ignore[misc]
        def __getitem__(self, spec: Any) -> Any:
            if spec.index == 2:
                os.kill(os.getpid(), number)
            return super().__getitem__(spec)

    dataset.__class__ = Deadly
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: list(loader))
    err = capfd.readouterr().err
    assert stop.value.code == 2
    assert err.count("expected:") == 1
    assert "hardware.num_workers" in err
    assert "Traceback" not in err
    assert ("memory" in err) == (number == signal.SIGKILL)


def test_a_death_that_shows_elsewhere_is_explained_too(capsys: pytest.CaptureFixture[str]) -> None:
    """torch raises from a signal handler, wherever the program is."""

    def train() -> None:
        raise RuntimeError("DataLoader worker (pid 31) is killed by signal: Killed. ")

    with pytest.raises(SystemExit) as stop:
        run_command(train)
    assert stop.value.code == 2
    assert "process 31 was killed (Killed)" in capsys.readouterr().err
    assert explain_dead_worker(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    shared = explain_dead_worker(RuntimeError("DataLoader worker (pid 3) is killed by signal: Bus error. It is ..."))
    assert shared is not None
    assert "/dev/shm" in shared.fix
    gone = explain_dead_worker(RuntimeError("DataLoader worker (pid(s) 3, 4) exited unexpectedly"))
    assert gone is not None
    assert "memory" in gone.fix
