"""ONNX files of a detector, with its states as inputs and outputs, and their comparison with torch."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.detection.streaming import StreamingStep
from utils.errors import UserError

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
FRAME = "frame"
PREDICTIONS = "predictions"
CPU = ("CPUExecutionProvider",)


def check_packages() -> None:
    """Complain before the work starts.

    Raises:
        UserError: a package that the export needs is not installed.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            expected=f"the packages {', '.join(PACKAGES)}",
            got=f"no {', '.join(missing)}",
            where="this Python environment",
            fix="make env, or pip install " + " ".join(missing),
        )


def export_onnx(
    network: StreamingStep,
    path: Path | str,
    lanes: int = 1,
    dtype: torch.dtype = torch.uint8,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the network as one ONNX file.

    Inputs are ``frame`` [lanes, C, H, W] (unpadded, of type ``dtype``) and the states, outputs ``predictions``
    [lanes, ...] (``Detector.predictions``) and ``new_<state>`` for each state.

    Args:
        network: on the CPU.
        path: of the file.
        lanes: streams that are run together.
        dtype: of the frames.
        metadata: texts to keep in the file.
    """
    inputs = (network.zero_frame(lanes).to(dtype), *network.initial_states(lanes))
    names = network.state_names
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            network,
            inputs,
            dynamo=True,
            verbose=False,
            input_names=[FRAME, *names],
            output_names=[PREDICTIONS, *(f"new_{name}" for name in names)],
        )
    assert program is not None, "the exporter returns a program when it gets no file name"
    program.model.metadata_props.update(metadata or {})
    program.save(path, external_data=False)


class OnnxStream:
    """Runs an exported file frame by frame in onnxruntime; states are carried.

    Args:
        path: of the file.
        threads: of onnxruntime, 0 for its own choice.
        providers: where it runs, in order of preference.
    """

    def __init__(
        self, path: Path | str, threads: int = 0, providers: tuple[str, ...] = ("CPUExecutionProvider",)
    ) -> None:
        import onnxruntime  # slow to import, and only needed here

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
        _, *self._state_inputs = self.session.get_inputs()
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self.states = [np.zeros(entry.shape, dtype=np.float32) for entry in self._state_inputs]

    def step(self, frame: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Predictions [lanes, ...] for frames [lanes, C, H, W]; the states are remembered."""
        feeds = {entry.name: state for entry, state in zip(self._state_inputs, self.states, strict=True)}
        predictions, *self.states = (np.asarray(out) for out in self.session.run(None, {FRAME: frame, **feeds}))
        return predictions


def largest_differences(
    network: StreamingStep, path: Path | str, frames: npt.NDArray[Any]
) -> dict[str, tuple[float, float]]:
    """Compare torch and onnxruntime over a sequence, each with its own states.

    Args:
        network: the exported network, on the CPU.
        path: the file.
        frames: [n, lanes, C, H, W].

    Returns:
        by output: the largest absolute difference, and the largest one relative to values above 1.
    """
    stream = OnnxStream(path)
    states = network.initial_states(frames.shape[1])
    names = [PREDICTIONS, *(f"new_{name}" for name in network.state_names)]
    worst = dict.fromkeys(names, (0.0, 0.0))
    for frame in frames:
        with torch.no_grad():
            predictions, *states = network(torch.from_numpy(frame), *states)
        theirs = [stream.step(frame), *stream.states]
        for name, ours, other in zip(names, (predictions, *states), theirs, strict=True):
            difference = np.abs(ours.numpy() - other)
            scaled = difference / np.maximum(np.abs(ours.numpy()), 1.0)
            worst[name] = (max(worst[name][0], float(difference.max())), max(worst[name][1], float(scaled.max())))
    return worst
