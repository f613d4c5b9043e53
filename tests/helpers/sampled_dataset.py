"""Shared by the sampling tests: golden records, and small datasets made on the spot."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.augmentation.config import (
    AugmentationConfig,
    CropConfig,
    IntensityConfig,
    MixConfig,
    RotationConfig,
    ZoomConfig,
)
from data.batches.batch import Batch
from data.batches.config import DataModuleConfig
from data.batches.planned_dataset import PlannedDataset
from data.labels.batched_labels import BatchedLabels
from data.payloads.frames import FrameInputs
from data.sampling.specs import BatchSpec, LaneSpec
from data.sequences.layout import SequenceWriter, StoredLabels
from modules.data.genx import DataModule
from tests.helpers.golden_files import GOLDEN, golden_dataset
from utils.boxes import BBOX_DTYPE

WILD = AugmentationConfig(
    hflip=0.5,
    tflip=0.5,
    rotate=RotationConfig(prob=0.5),
    zoom=ZoomConfig(prob=0.8),
    crop=CropConfig(prob=0.5),
    intensity=IntensityConfig(prob=0.8),
    mix=MixConfig(prob=0.7),
)
"""Every augmentation, often."""
REPR = "stacked_histogram_dt=50_nbins=10"


def golden_json(name: str) -> Any:
    with gzip.open(GOLDEN / f"{name}.json.gz", "rt") as handle:
        return json.load(handle)


def golden_config(**changes: Any) -> DataModuleConfig:
    """The setting in which the golden sampling data were made."""
    settings: dict[str, Any] = {
        "path": str(golden_dataset()),
        "ev_repr_name": REPR,
        "sensor_hw": (240, 304),
        "num_classes": 2,
        "sequence_length": 8,
        "batch_size_train": 2,
        "batch_size_eval": 2,
        **changes,
    }
    return DataModuleConfig(**settings)


def records(batch: Batch) -> list[dict[str, Any]]:
    """The lanes of a batch in the form of the golden records."""
    return [_record(batch, lane) for lane in range(len(batch["path"]))]


def _record(batch: Batch, lane: int) -> dict[str, Any]:
    frames = batch["inputs"].data[:, lane].contiguous().numpy()
    length = len(frames)
    return {
        "path": Path(batch["path"][lane]).name,
        "ev_idx": batch["ev_idx"][:, lane].tolist(),
        "first": bool(batch["is_first"][lane]),
        "last": bool(batch["is_last"][lane]),
        "reversed": bool(batch["is_reversed"][lane]),
        "padded": batch["is_padded"][:, lane].tolist(),
        **{
            name: [
                [t, found.object_labels.tolist()]
                for t in range(length)
                if (found := batch[key].at(t, lane)) is not None
            ]
            for name, key in (("labels", "labels"), ("skipped", "skipped_labels"))
        },
        "ev": {
            "sum": int(frames.sum(dtype=np.int64)),
            "sha1": hashlib.sha1(frames.tobytes()).hexdigest(),
            "shape": list(frames.shape),
        },
    }


def lane_record(dataset: PlannedDataset, lane: LaneSpec) -> dict[str, Any]:
    return records(dataset[BatchSpec(0, 0, 0, (lane,))])[0]


def assert_same(ours: dict[str, Any], golden: dict[str, Any], what: str) -> None:
    """Equal but for label coordinates, which may differ by rounding of float32."""
    for key in ("path", "ev_idx", "first", "last", "reversed", "padded", "ev"):
        if key == "ev" and ours["ev"]["shape"][-1] == 0:  # frames were left away
            continue
        assert ours[key] == golden[key], f"{what}: {key}"
    for key in ("labels", "skipped"):
        assert [t for t, _ in ours[key]] == [t for t, _ in golden[key]], f"{what}: {key}"
        for (_, mine), (_, theirs) in zip(ours[key], golden[key], strict=True):
            np.testing.assert_allclose(np.array(mine), np.array(theirs), atol=1e-4, err_msg=f"{what}: {key}")


def make_sequence(
    root: Path,
    num_frames: int,
    labelled: list[int],
    size_hw: tuple[int, int] = (16, 20),
    pseudo: bool = False,
    num_boxes: int = 2,
    downsampled: bool = False,
) -> None:
    """A small sequence whose frames tell their number: every pixel of frame i is i + 1."""
    boxes = np.zeros(len(labelled) * num_boxes, dtype=BBOX_DTYPE)
    for row, box in enumerate(boxes):
        frame = labelled[row // num_boxes]
        box["t"] = 0 if pseudo else 50_000 * (frame + 1)
        box["x"], box["y"], box["w"], box["h"] = 2 + row % num_boxes, 3, 6, 5
        box["class_id"] = row % 2
        box["class_confidence"] = box["objectness"] = 1.0
    with SequenceWriter(root, REPR, 4, *size_hw, np.uint8, downsampled) as writer:
        numbers = np.arange(1, num_frames + 1, dtype=np.uint8)[:, None, None, None]
        writer.append_frames(np.broadcast_to(numbers, (num_frames, 4, *size_hw)).copy())
        writer.write_frame_timestamps(50_000 * np.arange(1, num_frames + 1))
        writer.write_labels(
            StoredLabels(boxes, num_boxes * np.arange(len(labelled)), np.array(labelled, dtype=np.int64), None)
        )


def make_dataset(root: Path, **sequences: tuple[int, list[int]]) -> Path:
    """A dataset whose train, val and test splits hold the same sequences: name=(frames, labelled frames)."""
    for split in ("train", "val", "test"):
        for name, (num_frames, labelled) in sequences.items():
            make_sequence(root / split / name, num_frames, labelled)
    return root


def small_config(root: Path, **changes: Any) -> DataModuleConfig:
    settings: dict[str, Any] = {
        "path": str(root),
        "ev_repr_name": REPR,
        "sensor_hw": (16, 20),
        "num_classes": 2,
        "sequence_length": 4,
        "batch_size_train": 2,
        "batch_size_eval": 2,
        **changes,
    }
    return DataModuleConfig(**settings)


def batch_hash(batch: Batch) -> str:
    """SHA-1 of everything in a batch."""
    digest = hashlib.sha1()
    for key, value in sorted(dict(batch).items()):
        digest.update(key.encode())
        value = value.data if isinstance(value, FrameInputs) else value
        if isinstance(value, BatchedLabels):
            for part in (value.rows, value.frame_id, value.labelled, value.t_us):
                digest.update(part.numpy().tobytes())
        elif isinstance(value, torch.Tensor):
            digest.update(str((value.dtype, value.shape)).encode() + value.numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def with_rank(module: DataModule, rank: int, world: int) -> DataModule:
    """The data module of one of several processes."""

    class Ranked(DataModule):
        @property
        def rank(self) -> int:
            return rank

        @property
        def world_size(self) -> int:
            return world

    return Ranked(module.cfg)
