"""The preprocessing commands, as a user types them."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest

from data.events.bbox import write_bbox_npy
from data.events.formats.dat import write_dat
from data.events.types import Events
from data.sequences.layout import FrameReader, SequencePaths, read_labels
from scripts import import_pedro, preprocess_dataset
from tests.helpers.commands import SMALL
from tests.helpers.commands import run as run_program
from utils.boxes import BBOX_DTYPE


def run(monkeypatch, command, *arguments):
    monkeypatch.setattr(sys, "argv", [command.__file__, *arguments])
    command.main()


def make_raw(root):
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (root / split).mkdir(parents=True)
        t = np.sort(rng.integers(0, 500_000, 3000))
        events = Events.from_arrays(t, rng.integers(0, 160, 3000), rng.integers(0, 128, 3000), rng.integers(0, 2, 3000))
        write_dat(root / split / "a_td.dat", events, 128, 160)
        boxes = np.zeros(10, dtype=BBOX_DTYPE)
        boxes["t"] = np.arange(1, 11) * 50_000
        boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 10, 20, 30, 40
        write_bbox_npy(root / split / "a_bbox.npy", boxes)
    return root


def test_preprocess(tmp_path, monkeypatch):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    arguments = ("dataset=synthetic", f"raw_path={raw}", f"dataset.path={out}", "hardware.num_workers=0")
    run(monkeypatch, preprocess_dataset, *arguments)
    for split in ("train", "val", "test"):
        paths = SequencePaths(out / split / "a", "stacked_histogram_dt=50_nbins=10", downsampled=True)
        paths.check()
        assert FrameReader(paths.h5).shape == (9, 20, 64, 80)
        assert len(read_labels(paths)) == 9
    run(monkeypatch, preprocess_dataset, *arguments)  # nothing left to do


def test_verify_as_an_option_and_as_a_key(tmp_path, monkeypatch, capsys):
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    arguments = ("dataset=synthetic", f"dataset.path={out}", "hardware.num_workers=0")
    run(monkeypatch, preprocess_dataset, f"raw_path={raw}", *arguments)
    for option in ("--verify", "verify=true"):
        run(monkeypatch, preprocess_dataset, option, *arguments)
    h5 = SequencePaths(out / "val" / "a", "stacked_histogram_dt=50_nbins=10", downsampled=True).h5
    data = bytearray(h5.read_bytes())
    data[-1] ^= 1
    h5.write_bytes(data)
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, preprocess_dataset, "--verify", *arguments)
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert f"{h5.relative_to(out)}: other content" in message
    assert message.count("expected:") == 1


def test_a_voxel_grid_trains_and_is_evaluated(tmp_path, monkeypatch):
    """Frames of signed float16 go all the way from the recording to the loss and the figures."""
    raw, out = make_raw(tmp_path / "raw"), tmp_path / "out"
    grid = ("dataset.representation.kind=voxel_grid", f"dataset.path={out}")
    run(monkeypatch, preprocess_dataset, "dataset=synthetic", f"raw_path={raw}", *grid, "hardware.num_workers=0")
    reader = FrameReader(SequencePaths(out / "train" / "a", "voxel_grid_dt=50_nbins=10", downsampled=True).h5)
    assert (reader.shape, reader.dtype) == ((9, 10, 64, 80), np.float16)
    assert reader.read(0, 9).min() < 0 < reader.read(0, 9).max()
    short = ("training.max_steps=2", "logging.log_every_n_steps=1", f"output.dir={tmp_path / 'run'}")
    assert run_program("train.py", *SMALL, *grid, *short) == 0
    (table,) = (tmp_path / "run").rglob("metrics.csv")
    rows = list(csv.DictReader(table.open()))
    losses = [float(row["train/loss"]) for row in rows if row.get("train/loss")]
    assert losses
    assert np.isfinite(losses).all()
    assert any(row.get("val/AP") for row in rows)  # evaluated at the end


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dataset=synthetic",), "raw_path"),
        (("dataset=gen1",), "sensor_hw=[128,160]"),
        (("dataset=synthetic", "dataset.representation.bins=0"), "bins"),
        (("dataset=synthetic", "dataset.preprocessing.base_step_ms=-1"), "base_step_ms"),
    ],
)
def test_mistakes_end_with_one_message_and_status_2(tmp_path, monkeypatch, capsys, arguments, says):
    raw = make_raw(tmp_path / "raw")
    given = () if says == "raw_path" else (f"raw_path={raw}",)
    with pytest.raises(SystemExit) as caught:
        out = f"dataset.path={tmp_path / 'out'}"
        run(monkeypatch, preprocess_dataset, *arguments, *given, out, "hardware.num_workers=0")
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert says in message
    assert "Traceback" not in message


def test_import_pedro(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for kind in ("numpy", "yolo"):
        (tmp_path / "raw" / kind / "train").mkdir(parents=True)
    t = 1_672_932_172_785_744 + np.sort(rng.integers(0, 40_001, 500))
    sample = np.stack([t, rng.integers(0, 346, 500), rng.integers(0, 260, 500), rng.integers(0, 2, 500)], axis=1)
    np.save(tmp_path / "raw" / "numpy" / "train" / "frame0.npy", sample)
    (tmp_path / "raw" / "yolo" / "train" / "frame0.txt").write_text("0 0.5 0.5 0.2 0.5\n")
    run(monkeypatch, import_pedro, f"raw_path={tmp_path / 'raw'}", f"dataset.path={tmp_path / 'out'}", "pool=true")
    paths = SequencePaths(tmp_path / "out" / "val" / "train_frame0", "stacked_histogram_dt=40_nbins=10")
    assert FrameReader(paths.h5).shape == (5, 20, 260, 346)
    assert read_labels(paths).objframe_idx_2_repr_idx.tolist() == [4]
