"""Engines give what torch gives, or are not taken."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from models.detection.streaming import StreamingStep
from modules.live import ENGINES, engines
from modules.live.engines import choose_engine, device_called
from modules.live.streaming_detector import StreamingDetector
from scripts import visualize
from tests.modules.test_streaming import checkpoint_of, configured, sequence
from utils.errors import UserError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "small.ckpt"
    # Of few operations; the first network itself is exported by tests/scripts/test_export_onnx.py.
    small = ("model=rnndet-timm", "model.backbone.timm_name=resnet10t", "model.backbone.recurrence=convgru")
    checkpoint_of(configured(*small, "model.fpn.depth=0.1"), path)
    return path


@pytest.fixture(scope="module")
def network(checkpoint: Path) -> StreamingStep:
    return StreamingDetector.from_checkpoint(checkpoint).network


def test_the_fastest_that_is_installed_gives_the_same(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "FASTEST", ("onnx",))
    fast = StreamingDetector.from_checkpoint(checkpoint, engine="auto")
    eager = StreamingDetector.from_checkpoint(checkpoint)
    assert (fast.engine, eager.engine) == ("onnx", "eager")
    for frame in sequence(eager.frame_shape):
        with torch.no_grad():
            wanted, found = (d._step(torch.from_numpy(frame)[None], *d.states)[0] for d in (eager, fast))
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
        eager.step(frame)
        fast.step(frame)
    torch.testing.assert_close(fast.states, eager.states, atol=1e-5, rtol=1e-5)
    fast.reset()
    assert not any(state.any() for state in fast.states)


def broken(*_: object) -> object:
    raise RuntimeError("no such operator\nat line 7")


def off_by(amount: float):
    return lambda network, _: lambda *inputs: tuple(output + amount for output in network(*inputs))


@pytest.mark.parametrize(
    ("builder", "why"),
    [
        (broken, "RuntimeError: no such operator"),
        (off_by(0.1), "its numbers differ from torch's by "),
        (off_by(float("nan")), "its numbers differ from torch's by nan"),
    ],
)
def test_what_fails_or_differs_is_not_taken(
    network: StreamingStep, builder: object, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "FASTEST", ("onnx",))
    monkeypatch.setitem(engines._BUILDERS, "onnx", builder)
    with caplog.at_level(logging.INFO):
        assert choose_engine("auto", network, torch.uint8) == ("eager", network)
    (line,) = caplog.messages
    assert line.startswith(f"frames are not computed by onnx: {why}")
    with pytest.raises(UserError, match=why[:20]):
        choose_engine("onnx", network, torch.uint8)


def test_what_is_not_installed_is_told(network: StreamingStep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="no openvino, onnx, onnxscript installed"):
        choose_engine("openvino", network, torch.uint8)
    assert choose_engine("auto", network, torch.uint8)[0] == "eager"
    with pytest.raises(UserError, match="one of auto, eager"):
        choose_engine("fast", network, torch.uint8)


def test_engines_are_of_the_cpu_in_float32(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="take the CPU and float32"):
        StreamingDetector.from_checkpoint(checkpoint, precision=torch.bfloat16, engine="onnx")
    assert set(engines._BUILDERS) == set(ENGINES) - {"auto", "eager"}


def test_a_video_hands_its_engine_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    monkeypatch.setattr(StreamingDetector, "from_checkpoint", lambda *_, **named: given.update(named))
    args = visualize.build_parser().parse_args(
        ["in.dat", "--checkpoint", "a.ckpt", "--device", "cpu", "--engine", "auto"]
    )
    visualize.load_detector(args, (60, 90))
    assert given == {"engine": "auto"}


def test_a_device_that_is_none_is_one_message():
    with pytest.raises(UserError, match="cuda:N"):
        device_called("tpux")
