"""A detector that has detected can still be trained, and a recording lies on the device of its inputs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from models.detection import cuda_graph
from models.detection.rnndet.detector import YoloXDetector
from tests.models.conftest import tiny_config


def test_training_after_inference_mode() -> None:
    torch.manual_seed(0)
    model = YoloXDetector(tiny_config())
    frames = torch.randint(0, 3, (2, 1, 20, 64, 96), dtype=torch.uint8)
    targets = torch.tensor([[[0.0, 40, 30, 20, 20, 1, 1]], [[1.0, 20, 20, 10, 10, 1, 1]]])
    gradients = []
    for detects_first in (True, False):
        model.yolox_head._anchors.clear()
        if detects_first:
            with torch.inference_mode():
                model.eval()(frames[0])
        model.train()
        features, _ = model.forward_sequence(frames)
        _, losses = model.forward_detect({stage: maps.flatten(0, 1) for stage, maps in features.items()}, targets)
        assert losses is not None
        gradients.append(torch.autograd.grad(losses["loss"], [model.yolox_head.reg_preds[0].weight])[0])
    assert torch.equal(*gradients)


class Stream:
    def wait_stream(self, other: Stream) -> None:
        pass


class Graph:
    def replay(self) -> None:
        pass


class Cuda:
    """Stands for torch.cuda: notes on which device and stream things happen."""

    def __init__(self) -> None:
        self.current = torch.device("cuda:0")
        self.notes: list[tuple[str, object]] = []

    def device(self, device: torch.device) -> nullcontext[None]:
        self.current = device
        return nullcontext()

    def Stream(self, device: torch.device) -> Stream:
        assert device == self.current
        return Stream()

    def current_stream(self, device: torch.device) -> Stream:
        assert device == self.current
        return self.Stream(device)

    def stream(self, stream: object) -> nullcontext[None]:
        self.notes.append(("warm-up", stream))
        return nullcontext()

    def CUDAGraph(self) -> Graph:
        return Graph()

    def graph(self, graph: object, stream: object) -> nullcontext[None]:
        self.notes.append(("recording", stream))
        return nullcontext()


def test_a_recording_lies_on_the_device_of_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda()
    monkeypatch.setattr(torch, "cuda", cuda)
    inputs = [type("Input", (), {"device": torch.device("cuda:1")})()]
    devices: list[torch.device] = []

    def step(_: Any) -> tuple[()]:
        devices.append(cuda.current)
        return ()

    cuda_graph.record_cuda_graph(step, inputs)
    assert devices == [torch.device("cuda:1")] * (cuda_graph.WARM_UP + 1)
    (_, first), (_, second) = cuda.notes
    assert first is second, "a stream of that device, not torch's own of the first recording"
