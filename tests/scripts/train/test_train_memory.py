"""Memory that runs out: one message with what helps; or the largest batch that fits, found and lowered by itself."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from config.compose import compose
from modules.detection import Module
from modules.training.batch_size import FILE, StepDown, fits_memory
from modules.training.batch_size_search import BatchSizeRange, kept_beside, largest_that_fits
from modules.training.settings import run_settings
from tests.helpers.commands import SMALL, failure, run
from tests.helpers.stopped_training import TINY
from tests.helpers.tiny_dataset import write_tiny_dataset
from tests.helpers.training_faults import Batch, at_batch, gpu_memory_with, out_of_gpu_memory
from utils.commands.out_of_memory import explain_out_of_memory, is_out_of_memory
from utils.errors import UserError

DYNAMIC = "training.dynamic_batch_size.enabled=true"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    dataset = write_tiny_dataset(tmp_path_factory.mktemp("data"), train=2, val=1, test=0)
    quick = ("validation.limit_val_batches=1", "checkpointing.every_n_steps=1", "dataset.train.sampling=random")
    return (*TINY, *quick, f"dataset.path={dataset}", "training.max_steps=3")


def test_gpu_memory_runs_out(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_batch(monkeypatch, 2, out_of_gpu_memory)
    message = failure(capsys, "train.py", *start, f"output.dir={tmp_path}", "training.precision=32")
    knobs = (
        "the GPU ran out of it at 2.50 GiB", "batch_size.train=2, dataset.sequence_length=4", "batch_size.train=1",
        "training.accumulate_grad_batches=2", "use_gradient_checkpointing=true", "training.precision=16",
        "shorter dataset.sequence_length", DYNAMIC, "goes on from the newest checkpoint",
    )  # fmt: skip
    for knob in knobs:
        assert knob in message, message
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 2


def test_memory_of_the_machine_runs_out(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(batch: Batch) -> None:
        raise MemoryError

    at_batch(monkeypatch, 1, no_memory)
    message = failure(capsys, "train.py", *start, f"output.dir={tmp_path}")
    assert "the machine ran out of it" in message
    assert "fewer hardware.num_workers.train" in message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_these_are(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
    assert (explain_out_of_memory(error, compose(SMALL), training=True) is not None) is expected


def test_the_search_counts_what_a_run_keeps_beside_the_detector() -> None:
    config = compose((*SMALL, "dataset.path=none", "dataset.train.num_stream_groups=3", "training.ema_decay=0.9"))
    module = Module(config)
    module.train_states.save_states_and_detach(0, [torch.ones(2, 5)])
    *states, average = kept_beside(config, module)
    assert [state[0].shape for state in states] == [(2, 5), (2, 5)]
    assert sum(part.numel() for part in average) == sum(part.numel() for part in module.mdl.state_dict().values())
    alone = {**config, "training": {**config["training"], "ema_decay": None}}
    assert len(kept_beside(alone, module)) == 2


def test_other_commands_get_their_own_advice() -> None:
    explained = explain_out_of_memory(MemoryError(), compose((*SMALL, "checkpoint=x"), "val"), training=False)
    assert explained is not None
    assert "batch_size.eval" in explained.fix
    assert "batch_size.train" not in str(explained)
    explained = explain_out_of_memory(MemoryError(), compose(("raw_path=x",), "preprocess"), False)
    assert explained is not None
    assert "batch_size" not in str(explained)


def sizes_kept(folder: Path) -> dict[str, object]:
    return json.loads((folder / FILE).read_text())


def test_the_largest_batch_is_found_and_kept(
    start: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    command = (*start, DYNAMIC, "training.dynamic_batch_size.max=16", f"output.dir={tmp_path}")
    with monkeypatch.context() as patch:
        tried = gpu_memory_with(8, patch)
        assert run("train.py", *command, "training.max_steps=1", "training.lr_scheduler.total_steps=3") == 0
    assert tried == [2, 2, 4, 4, 8, 4], "two steps of each size that fits, then the training"
    assert sizes_kept(tmp_path) == {"train": 4, "searched": {"base": 2, "max": 16, "factor": 2}}
    assert "batch_size.train=4 is the largest that fits" in caplog.text
    tried = gpu_memory_with(99, monkeypatch)
    assert run("train.py", *command) == 0
    assert tried == [4, 4], "a restart uses the same size, and does not search"


def test_without_a_limit_it_ends_at_the_largest_and_changes_nothing_else(
    start: tuple[str, ...], tmp_path: Path
) -> None:
    found, given, few = tmp_path / "found", tmp_path / "given", "training.max_steps=2"
    assert run("train.py", *start, few, DYNAMIC, "training.dynamic_batch_size.max=3", f"output.dir={found}") == 0
    assert sizes_kept(found)["train"] == 3
    assert run("train.py", *start, few, "batch_size.train=3", f"output.dir={given}") == 0
    weights = [torch.load(folder / "last.ckpt", weights_only=True)["state_dict"] for folder in (found, given)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_it_steps_down_when_memory_runs_out_later(
    start: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    def crowded(batch: Batch) -> None:
        used.append(batch["inputs"].data.shape[1])
        if used[-1] > 2:
            out_of_gpu_memory(batch)

    at_batch(monkeypatch, 1, crowded)  # the search does not meet it: memory was there before the first step
    more = (DYNAMIC, "training.dynamic_batch_size.max=4", f"output.dir={tmp_path}")
    assert run("train.py", *start, *more) == 0
    assert used == [4, 2]
    assert sizes_kept(tmp_path)["train"] == 2
    assert sizes_kept(tmp_path)["lowered"] == [4]
    assert "going on with 2 from the newest checkpoint" in caplog.text
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 3


def test_one_of_several_processes_runs_out(
    start: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot go on by itself: the others are in the middle of their step."""
    settings = run_settings(compose((*start, DYNAMIC, f"output.dir={tmp_path}", "batch_size.train=4")))
    (tmp_path / FILE).write_text('{"train": 4}')
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)

    def train() -> None:
        error = torch.OutOfMemoryError("CUDA out of memory.")
        StepDown(tmp_path, settings.training).on_exception(SimpleNamespace(validating=False), None, error)  # type: ignore[arg-type]
        raise error

    with pytest.raises(UserError) as told:
        fits_memory(tmp_path, settings.training, train)
    assert "start the same command again" in told.value.fix
    assert "with 2 lanes" in told.value.fix
    assert sizes_kept(tmp_path) == {"train": 2, "lowered": [4]}


def test_validation_that_runs_out_changes_no_batch_of_training(start: tuple[str, ...], tmp_path: Path) -> None:
    settings = run_settings(compose((*start, DYNAMIC, f"output.dir={tmp_path}", "batch_size.train=4")))
    (tmp_path / FILE).write_text('{"train": 4}')
    trainer = SimpleNamespace(validating=True)
    StepDown(tmp_path, settings.training).on_exception(trainer, None, torch.OutOfMemoryError("CUDA out of memory."))  # type: ignore[arg-type]
    assert sizes_kept(tmp_path) == {"train": 4}


def test_nothing_fits(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = gpu_memory_with(1, monkeypatch)
    message = failure(capsys, "train.py", *start, DYNAMIC, f"output.dir={tmp_path}")
    assert tried == [2, 1]
    assert "shorter dataset.sequence_length" in message
    assert not (tmp_path / FILE).exists()


def test_switched_on_as_a_whole(start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "training.dynamic_batch_size=true"
    assert "dynamic_batch_size.enabled=" in failure(capsys, "train.py", *start, key, f"output.dir={tmp_path / 'run'}")


@pytest.mark.parametrize("setting", ["base=0", "max=1", "factor=1", "factor=two"])
def test_settings_out_of_range(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    key = f"training.dynamic_batch_size.{setting}"
    assert key.split("=")[0] in failure(capsys, "train.py", *start, DYNAMIC, key, f"output.dir={tmp_path / 'run'}")
    assert not (tmp_path / "run").exists()


def test_what_a_run_keeps_of_its_size_must_be_readable(
    start: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE).write_text('{"train": "many"}')
    assert "remove it to search again" in failure(capsys, "train.py", *start, DYNAMIC, f"output.dir={tmp_path}")


@pytest.mark.parametrize("limit", range(0, 40, 3))
def test_the_search(limit: int) -> None:
    sizes = BatchSizeRange(base=5, max=33, factor=1.5, least=2)
    found = largest_that_fits(lambda size: size <= limit, sizes)
    if limit < sizes.least:
        assert found is None
    else:
        assert found is not None
        assert sizes.least <= found <= min(limit, sizes.max)
        assert found == sizes.max or found * sizes.factor + 1 > limit or found < sizes.base


def test_the_search_asks_only_once_for_a_size() -> None:
    asked: list[int] = []
    largest_that_fits(lambda size: bool(asked.append(size)), BatchSizeRange(base=8, max=9, factor=1.1, least=2))
    assert asked == [8, 7, 6, 5, 4, 3, 2]


def test_a_range_the_wrong_way_round() -> None:
    with pytest.raises(UserError, match=r"dynamic_batch_size\.max"):
        BatchSizeRange(base=8, max=4, factor=2)
