"""Checks of train.py on a GPU: small runs that end, and killed ones that go on to the same end."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from modules.checkpoints.files import LAST, load_checkpoint_file
from scripts.benchmark.data_parts.loading import write_dataset
from scripts.benchmark.gpu.report import Case, Result
from scripts.benchmark.gpu.subject import Bench
from scripts.soak.training import Training

DETERMINISTIC = "reproduce.deterministic_flag=true"
SETTINGS = (
    "dataset=gen1", "dataset.sequence_length=5", "batch_size.train=4", "batch_size.eval=4",
    "hardware.num_workers.train=2", "hardware.num_workers.eval=0", "hardware.gpus=0", "hardware.threads=2",
    "logging.progress_bar=false",
    "logging.log_every_n_steps=1", "training.max_steps=120", "validation.val_check_interval=60",
    "checkpointing.every_n_steps=20",
)  # fmt: skip
QUICK = (
    "dataset.sequence_length=1", "batch_size.train=2", "batch_size.eval=1", "hardware.num_workers.train=0",
    "hardware.threads=1", "training.max_steps=6", "validation.val_check_interval=6", "checkpointing.every_n_steps=2",
    "validation.limit_val_batches=1", "model.backbone.embed_dim=8", "model.backbone.attention.dim_head=8",
    "model.fpn.depth=0.33",
)  # fmt: skip


def cases(bench: Bench) -> list[Case]:
    """Runs in several precisions, all at once: they are small."""
    kinds = (("32",),) if bench.quick else (("16",), ("bf16",), ("16", DETERMINISTIC))
    return [Case("train.py", "runs, undisturbed and killed", partial(trainings, bench, kinds), 75)]


def trainings(bench: Bench, kinds: Sequence[tuple[str, ...]]) -> Result:
    """An undisturbed and a killed run of each kind.

    Args:
        bench: sizes.
        kinds: precision and further overrides of each.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(folder / "data", 80 if bench.quick else 160, ("train", "val"))
        with ThreadPoolExecutor(len(kinds)) as pool:
            found = list(pool.map(lambda numbered: _pair(bench, folder, *numbered), enumerate(kinds)))
    texts, passed = zip(*found, strict=True)
    return Result("; ".join(texts), all(passed))


def _pair(bench: Bench, folder: Path, number: int, kind: tuple[str, ...]) -> tuple[str, bool]:
    """One kind: what was found, in words, and whether both runs came to the same end."""
    model = QUICK if bench.quick else ("+experiment/gen1=tiny",)
    device = () if bench.device.type == "cuda" else ("hardware.accelerator=cpu",)
    precision, *more = kind
    settings = (*SETTINGS, *model, *device, *more, f"training.precision={precision}", f"dataset.path={folder / 'data'}")
    undisturbed, killed = (Training(folder / f"{number}_{name}", settings) for name in ("whole", "killed"))
    with ThreadPoolExecutor(2) as pool:
        whole = pool.submit(undisturbed.finish)
        kill = pool.submit(killed.kill, 3 if bench.quick else 50, 0.0)
        seconds, stopped = whole.result(), kill.result()
    killed.finish()
    ends = [load_checkpoint_file(training.output / LAST) for training in (undisturbed, killed)]
    steps = [int(end["global_step"]) for end in ends]
    finite, difference = _compare(*(end["state_dict"] for end in ends))
    step, resumes_at = stopped.state if stopped else (None, None)
    where = f"killed at step {step}, went on from {resumes_at}" if stopped else "over before its kill"
    weights = "equal to the last bit" if difference == 0 else f"within {difference:.1e}"
    text = f"{' '.join(kind)}: {steps[0]} steps in {seconds:.0f} s; {where} to {steps[1]}; weights {weights}"
    return text, resumes_at is not None and finite and steps[0] == steps[1]


def _compare(one: dict[str, Any], other: dict[str, Any]) -> tuple[bool, float]:
    """Whether all weights are numbers, and the largest difference of two."""
    pairs = [(one[key].double(), other[key].double()) for key in one if isinstance(one[key], torch.Tensor)]
    differences = [float((a - b).abs().max()) for a, b in pairs if a.numel()]
    return all(math.isfinite(value) for value in differences), max(differences, default=0.0)
