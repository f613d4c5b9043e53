"""A model that reads raw events is trained, goes on bit for bit, and is evaluated, like any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data.augmentation.state import AugmentationState
from data.events.types import Events
from data.payloads.events import EventsPayload
from data.sequences.layout import SequenceWriter, StoredLabels
from modules.detection import Module
from modules.live.streaming_detector import StreamingDetector
from tests.helpers.commands import failure, run
from utils.boxes import BBOX_DTYPE
from utils.errors import UserError

HW, DT, WINDOWS = (32, 48), 50_000, 8
KEYS = (
    "model=dmanet",
    "dataset=synthetic",
    f"dataset.sensor_hw=[{HW[0]},{HW[1]}]",
    "dataset.sequence_length=2",
    "dataset.train.sampling=mixed",
    "model.pillars.size=64",
    "model.channels=[4,4,8,8]",
    "model.head_channels=8",
    "hardware.accelerator=cpu",
    "hardware.num_workers.train=0",
    "hardware.num_workers.eval=0",
    "logging.progress_bar=false",
    "logging.report=false",
    "validation.val_check_interval=0",
    "training.lr_scheduler.total_steps=4",
)


def write(root: Path, seed: int, keep: bool = True) -> None:
    """A sequence of windows in which a box is full of events."""
    rng = np.random.default_rng(seed)
    times = DT * np.arange(1, WINDOWS + 1)
    boxes = np.zeros(WINDOWS, BBOX_DTYPE)
    boxes["t"], boxes["x"], boxes["y"], boxes["w"], boxes["h"] = times, 4 + 2 * np.arange(WINDOWS), 6, 20, 16
    indices = np.arange(WINDOWS, dtype=np.int64)
    events_of = (HW, DT) if keep else None
    name = "stacked_histogram_dt=50_nbins=10"
    with SequenceWriter(root, name, 20, HW[0] // 2, HW[1] // 2, downsampled=True, events_of=events_of) as writer:
        for box in boxes:
            t = np.sort(rng.integers(box["t"] - DT, box["t"], 400))
            x, y = (rng.integers(box[at], box[at] + box[side], 400) for at, side in (("x", "w"), ("y", "h")))
            writer.append_events(Events.from_arrays(t, x, y, rng.integers(0, 2, 400)), int(box["t"]) - DT)
            writer.append_frames(np.zeros((20, HW[0] // 2, HW[1] // 2), np.uint8))
        writer.write_frame_timestamps(times)
        writer.write_labels(StoredLabels(boxes, indices, indices, times))


def test_it_trains_goes_on_bit_for_bit_and_is_evaluated(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, split in enumerate(("train", "train", "val")):
        write(data / split / f"s{number}", number)
    keys = (*KEYS, f"dataset.path={data}")
    for folder, steps in (("once", 4), ("twice", 2), ("twice", 4)):
        assert run("train.py", *keys, f"training.max_steps={steps}", f"output.dir={tmp_path / folder}") == 0
    once, twice = (
        torch.load(tmp_path / folder / "last.ckpt", weights_only=True)["state_dict"] for folder in ("once", "twice")
    )
    assert once.keys() == twice.keys()
    assert [name for name in once if not torch.equal(once[name], twice[name])] == []
    figures = tmp_path / "val.json"
    checkpoint = f"checkpoint={tmp_path / 'once' / 'last.ckpt'}"
    more = ("dataset.evaluation.skip_ms=0", "dataset.evaluation.min_diag=0", "tta.enable=true", f"save_json={figures}")
    known = [key for key in keys if not key.startswith(("model", "training", "dataset.train", "logging.report"))]
    assert run("val.py", *(key for key in known if "val_check" not in key), checkpoint, *more) == 0
    assert 0 <= json.loads(figures.read_text())["figures"]["AP"] <= 1
    live_is_what_batches_give(tmp_path / "once" / "last.ckpt", data / "val" / "s2")


def live_is_what_batches_give(checkpoint: Path, sequence: Path) -> None:
    """Events go in window by window; boxes come out in pixels of the sensor, which has twice those of labels."""
    detector = StreamingDetector.from_checkpoint(checkpoint, confidence_threshold=0.002)
    (store,) = sequence.rglob("events.h5")
    payload = EventsPayload(detector.frames.pillars, half=True)
    part = payload.read(payload.open(store), 0, 3, False, AugmentationState())
    module = Module(torch.load(checkpoint, weights_only=True)["hyper_parameters"]["config"]).eval()
    module.load_weight(checkpoint)
    module.config["model"]["postprocess"]["confidence_threshold"] = 0.002
    rows, _ = module.detect_sequence(payload.stacked([part], 3, None).data, None, torch.tensor([True]))
    for events, (wanted,) in zip(part.windows, rows, strict=True):
        found = detector.step((events.x, events.y, events.t, events.p))
        wanted[:, :4] *= 2
        assert len(found) == len(wanted) > 0
        np.testing.assert_allclose(np.sort(found.scores), wanted[:, 5].sort().values, atol=1e-5)
        assert found.plot(1).shape[:2] == HW
    first, second = list(detector.detect(sequence))[:2]
    np.testing.assert_allclose(first.rows[:, 5], rows[0][0][:, 5], atol=1e-5)
    assert second.time_us == 2 * DT
    with pytest.raises(UserError, match="this model reads events"):
        detector.step(np.zeros((20, 16, 24), np.uint8))


def test_frames_without_their_events_are_told(tmp_path: Path, capsys) -> None:
    write(tmp_path / "data" / "train" / "a", 0, keep=False)
    write(tmp_path / "data" / "val" / "a", 0, keep=False)
    keys = (*KEYS, f"dataset.path={tmp_path / 'data'}", f"output.dir={tmp_path / 'run'}")
    message = failure(capsys, "train.py", *keys)
    assert "dataset.preprocessing.keep_events=true" in message


@pytest.mark.soak
def test_it_learns(tmp_path: Path) -> None:
    """Boxes that are nothing but events are found after some hundred steps, by nothing before."""
    data = tmp_path / "data"
    for number, split in enumerate((*["train"] * 6, "val", "val")):
        write(data / split / f"s{number}", number)
    keys = [key for key in KEYS if not key.startswith(("model.channels", "model.head", "training.lr", "dataset.train"))]
    more = (
        "model.channels=[8,16,32,32]",
        "model.head_channels=32",
        "training.learning_rate=0.003",
        "batch_size.train=4",
    )
    counted = ("dataset.evaluation.skip_ms=0", "dataset.evaluation.min_diag=0")
    found = []
    for steps in (1, 200):
        out = tmp_path / str(steps)
        run(
            "train.py",
            *keys,
            *more,
            *counted,
            f"dataset.path={data}",
            f"training.max_steps={steps}",
            f"output.dir={out}",
        )
        found.append(json.loads((out / "done.json").read_text())["val/AP_50"])
    assert found[1] > max(5 * found[0], 0.3)
