"""An exported detector does in onnxruntime what it does in torch, with the same states."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.detection.streaming import StreamingStep
from modules.live import onnx as onnx_export
from modules.live.onnx import OnnxStream
from modules.live.streaming_detector import StreamingDetector
from scripts.export_onnx import random_windows
from tests.helpers.commands import failure, run
from tests.modules.test_streaming import checkpoint_of, configured, sequence


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "small.ckpt"
    checkpoint_of(
        configured("model.backbone.embed_dim=16", "model.fpn.depth=0.33", "model.backbone.attention.ls_init_value=0.5"),
        path,
    )
    return path


def test_the_file_equals_torch_over_a_sequence(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "small.onnx"
    assert run("scripts/export_onnx.py", str(checkpoint), "--output", str(output), "--streams", "2") == 0
    assert [path.name for path in output.parent.iterdir()] == ["small.onnx"]
    detector = StreamingDetector.from_checkpoint(checkpoint)
    stream = OnnxStream(output, threads=1)
    assert [entry.name for entry in stream.session.get_inputs()] == ["frame", *detector.network.state_names]
    facts = stream.session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == detector.classes
    assert (facts["box_pixels"], facts["sensor_pixels_per_box_pixel"]) == ("frame", "2")
    assert json.loads(facts["frame_chw"]) == list(detector.frame_shape)

    states = detector.network.initial_states(2)
    frames = sequence((2, *detector.frame_shape), 20)
    for frame in frames:
        predictions, *states = detector.network(torch.from_numpy(frame), *states)
        np.testing.assert_allclose(stream.step(frame), predictions.detach(), atol=1e-4, rtol=0)
        for ours, theirs in zip(states, stream.states, strict=True):
            np.testing.assert_allclose(theirs, ours.detach(), atol=1e-4, rtol=0)


DMANET = ("model=dmanet", "model.pillars.size=64", "model.channels=[4,4,8,8]", "model.head_channels=8")


def test_a_model_of_events_is_compared_on_pillars(tmp_path: Path) -> None:
    checkpoint_of(configured(*DMANET), tmp_path / "a.ckpt")
    windows = random_windows(StreamingDetector.from_checkpoint(tmp_path / "a.ckpt"), 2, 1)
    assert (windows.shape, windows.dtype) == ((2, 1, 2, 64 * 64, 18), np.dtype("float32"))
    points, rows, columns = (windows[..., at] for at in (-3, -2, -1))
    assert (points > 0).sum() > 1000
    assert rows.max() == columns.max() == 63
    assert not np.array_equal(windows[0], windows[1])


def test_published_weights_with_the_overrides_of_their_dataset(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    exported = []

    def note(network: StreamingStep, path: Path, *_: object) -> None:
        exported.append(network)
        path.write_bytes(b"network")

    monkeypatch.setattr(onnx_export, "export_onnx", note)
    monkeypatch.setattr(onnx_export, "largest_differences", lambda *_: {"predictions": (1.7e-3, 5e-6)})
    caplog.set_level("INFO")
    tensors = torch.load(checkpoint, weights_only=True)["state_dict"]
    torch.save({"state_dict": tensors, "hyper_parameters": {}}, tmp_path / "rvt.ckpt")
    message = failure(capsys, "scripts/export_onnx.py", str(tmp_path / "rvt.ckpt"))
    assert "dataset=gen1" in message
    assert "for 2 classes and 20 input channels" in message
    backbone = ("model.backbone.embed_dim=16", "model.backbone.attention.dim_head=16")
    arguments = (str(tmp_path / "rvt.ckpt"), "dataset=gen1", *backbone)
    assert run("scripts/export_onnx.py", *arguments, "-o", str(tmp_path / "rvt.onnx")) == 0
    assert "differs from torch by 5.0e-06 over 20 frames (relative for values above 1; limit 0.0001)" in caplog.text
    (network,) = exported
    assert network.frame_hw == (240, 304)
    for name, value in network.detector.state_dict().items():
        assert torch.equal(value, tensors[f"mdl.{name}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{tmp}/none.ckpt",), "no such file"),
        (("{ckpt}", "--output", "{tmp}/a.pt"), ".onnx"),
    ],
)
def test_mistakes(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    filled = [text.format(tmp=tmp_path, ckpt=checkpoint) for text in arguments]
    assert message in failure(capsys, "scripts/export_onnx.py", *filled)
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_from_torch_does_not_appear(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "export_onnx", lambda network, path, *rest: path.write_bytes(b"other"))
    monkeypatch.setattr(onnx_export, "largest_differences", lambda *_: {"predictions": (9.0, 2e-4), "h": (0.0, 0.0)})
    message = failure(capsys, "scripts/export_onnx.py", str(checkpoint), "--output", str(tmp_path / "a.onnx"))
    assert "2.0e-04 in predictions" in message
    assert "nothing was written" in message
    assert not list(tmp_path.iterdir())
