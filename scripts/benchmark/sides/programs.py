"""Commands as workloads: what they do at all, to their first step, and labelling."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import time
from importlib import import_module as load
from typing import Any

from basics import Call, Measured, Size, data_loading, tell

_TRAIN = (
    "batch_size.train=2", "batch_size.eval=2", "hardware.num_workers.train=0", "hardware.num_workers.eval=0",
    "logging.progress_bar=false", "dataset.sequence_length=5", "training.max_steps=1",
)  # fmt: skip


def command(*line: str) -> Call:
    """A command; the answer is its exit status."""

    def call() -> float:
        sys.argv = list(line)
        try:
            runpy.run_path(line[0], run_name="__main__")
        except SystemExit as stop:
            return float(stop.code or 0)
        return 0.0

    return call


def start(size: Size, kind: str) -> Call:
    """A command that has nothing to do."""
    words = {"help": "--help", "key": "training.max_stepz=1", "dataset": "dataset.path=/nowhere"}
    return command("train.py", *([] if kind == "help" else ["dataset=gen1", "hardware.accelerator=cpu"]), words[kind])


def training(size: Size, output: str = "") -> Call:
    """A training of one step."""
    folder = size.folder / (output or str(os.getpid()))
    return command(
        "train.py", *size.model("tiny"), *_TRAIN, f"dataset.path={size.folder / 'data'}", f"output.dir={folder}"
    )


def first_step(size: Size) -> Call:
    """A training that ends with its first step, whatever it would do then."""

    def end(*_: Any) -> None:
        tell(0.0, 0.0, 0.0)  # the whole process counts
        os._exit(0)

    load("torch.optim.optimizer").register_optimizer_step_post_hook(end)
    return training(size)


def labelling(size: Size, part: str = "") -> Call:
    """Labels by a detector, with all views; of a part, nothing but labelling itself counts."""
    views = ("tta.enable=true", "tta.hflip=true", "tta.tflip=true")
    out = size.folder / "labels" / str(os.getpid())
    paths = (f"dataset.path={size.folder / 'data'}", f"checkpoint={size.folder / 'run' / 'last.ckpt'}")
    whole = command(
        "predict.py", "model=pseudo_labeler", *size.model("tiny"), *views, *paths, f"save_dir={out / 'train'}"
    )
    return timed(whole, "modules.pseudo_labeler", "PseudoLabeler", "run") if part else whole


def timed(whole: Call, module: str, owner: str, name: str) -> Call:
    """A command of which one method counts."""

    def call() -> Measured:
        where, spent = getattr(load(module), owner), []
        method = getattr(where, name)

        def watched(*given: Any, **named: Any) -> Any:
            before = time.perf_counter(), time.process_time()
            try:
                return method(*given, **named)
            finally:
                spent.append((time.perf_counter() - before[0], time.process_time() - before[1]))

        setattr(where, name, watched)
        answer = whole()
        assert isinstance(answer, float)
        ((clock, busy),) = spent
        return Measured(clock, busy, answer)

    return call


def make_training(size: Size) -> None:
    """A dataset with all splits."""
    part = data_loading()
    if size.quick:
        part.HEIGHT, part.WIDTH = 64, 96
    part.write_dataset(size.folder / "data", size.of(160, 80))
    for split in ("val", "test"):
        shutil.copytree(size.folder / "data" / "train", size.folder / "data" / split)


def make_labelling(size: Size, part: str = "") -> None:
    """A dataset and a detector."""
    make_training(size)
    assert training(size, "run")() == 0, "a training of one step"
