"""One-frame steps as a CUDA graph: the kernels of a step are recorded once and launched together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[..., tuple[Tensor, ...]]
"""Tensors in, tensors out, e.g. :class:`models.detection.streaming.StreamingStep`."""

WARM_UP = 3
"""Runs before the recording, in which libraries choose kernels and allocate workspaces."""


Record = Callable[[Step, list[Tensor]], tuple[Callable[[], None], tuple[Tensor, ...]]]
"""From a step and its input buffers to a function that runs it again on them, and its output buffers."""


def record_cuda_graph(step: Step, inputs: list[Tensor]) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """Record the kernels of a step after a warm-up on another stream, as CUDA asks for; on the device of the inputs."""
    device = inputs[0].device
    with torch.inference_mode(), torch.cuda.device(device):
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(*inputs)
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # torch's own stream for recordings lies on the device of the first recording of the process.
        with torch.cuda.graph(graph, stream=stream):
            outputs = step(*inputs)
    return graph.replay, outputs


class GraphedStep:
    """A step whose kernels were recorded for one shape of inputs; called like the step itself.

    Inputs are copied into the recorded buffers, and outputs are copied out of them, so that results stay valid after
    the next call. Weights are read where they lay at the recording: do not move or replace them afterwards.

    Args:
        step: function of tensors without host synchronisation.
        inputs: example inputs on a CUDA device; their shapes and types are fixed.
        record: how kernels are recorded and run again.
    """

    def __init__(self, step: Step, *inputs: Tensor, record: Record = record_cuda_graph) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        self.replay, self.outputs = record(step, self.inputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the recorded step.

        Raises:
            ValueError: inputs of another shape or type than those of the recording.
        """
        for own, given in zip(self.inputs, inputs, strict=True):
            if own.shape != given.shape or own.dtype != given.dtype:
                raise ValueError(f"the step was recorded for {own.dtype} {tuple(own.shape)}")
        torch._foreach_copy_(  # pyright: ignore[reportPrivateImportUsage]
            self.inputs, list(inputs), non_blocking=True
        )  # one launch for all of a device
        self.replay()
        results = [torch.empty_like(output) for output in self.outputs]
        torch._foreach_copy_(results, list(self.outputs))  # pyright: ignore[reportPrivateImportUsage]
        return tuple(results)


def graphed(step: Step, *inputs: Tensor) -> Step:
    """The step recorded as a CUDA graph, or the step itself where there are no CUDA graphs (inputs on the CPU)."""
    if not torch.cuda.is_available() or any(tensor.device.type != "cuda" for tensor in inputs):
        return step
    return GraphedStep(step, *inputs)
