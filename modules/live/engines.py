"""What computes a frame on a CPU: torch as it is, torch compiled, onnxruntime or OpenVINO."""

from __future__ import annotations

import copy
import importlib.util
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from models.detection.cuda_graph import Step
from models.detection.streaming import StreamingStep
from modules.live import ENGINES
from modules.live.onnx import FRAME, OnnxStream, export_onnx
from utils.errors import UserError

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference from torch, relative for values above 1, over ``FRAMES`` frames."""
FRAMES = 3

_EXPORTED = {"onnx": "onnxruntime", "openvino": "openvino"}  # by engine, the package that runs the file
_EXPORTERS = ("onnx", "onnxscript")
FASTEST = ("openvino", "onnx")
"""What ``auto`` tries, fastest first; compiling takes a minute and gains less."""


def choose_engine(engine: str, network: StreamingStep, frame_dtype: torch.dtype) -> tuple[str, Step]:
    """The step that an engine computes, seen to give what torch gives.

    Args:
        engine: one of ``modules.live.ENGINES``; ``auto`` takes the fastest that is installed and agrees, and
            tells of those before it why they were not taken.
        network: on a CPU, in float32.
        frame_dtype: of the frames, uint8 or int8.

    Returns:
        the name of the engine and its step, which takes and gives what ``network`` does.

    Raises:
        UserError: no such engine, it is not installed or cannot run the network, or its numbers are others.
    """
    if engine not in ENGINES:
        raise UserError(expected=f"one of {', '.join(ENGINES)}", got=repr(engine), where="engine", fix="choose one")
    for name in FASTEST if engine == "auto" else (engine,):
        if name == "eager":
            break
        why = _missing(name)
        if why is None:
            try:
                step = _BUILDERS[name](network, frame_dtype)
                difference = largest_difference(network, step, frame_dtype)
                if difference <= TOLERANCE:
                    log.info("frames are computed by %s; largest difference from torch %.1e", name, difference)
                    return name, step
                why = f"its numbers differ from torch's by {difference:.1e}, more than {TOLERANCE:g}"
            except Exception as error:  # exporters, compilers and runtimes fail in ways of their own
                why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        if engine != "auto":
            raise UserError(
                expected="an engine that computes this network",
                got=why,
                where=f"engine={name}",
                fix="take auto or eager",
            )
        log.info("frames are not computed by %s: %s", name, why)
    return "eager", network


def largest_difference(network: StreamingStep, step: Step, frame_dtype: torch.dtype) -> float:
    """Over a few random frames, each with its own states; not a number where an output is none."""
    rng = np.random.default_rng(0)
    shape = (FRAMES, *network.zero_frame(1).shape)
    frames = torch.from_numpy(np.minimum(rng.poisson(0.1, shape), 10)).to(frame_dtype)
    ours = theirs = network.initial_states()
    worst = []
    with torch.inference_mode():
        for frame in frames:
            expected, given = network(frame, *ours), step(frame, *theirs)
            ours, theirs = list(expected[1:]), list(given[1:])
            worst += [((a - b).abs() / a.abs().clamp_(min=1)).max() for a, b in zip(expected, given, strict=True)]
    return float(torch.stack(worst).max())


def _missing(engine: str) -> str | None:
    needed: Sequence[str] = (_EXPORTED[engine], *_EXPORTERS) if engine in _EXPORTED else ()
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    return f"no {', '.join(missing)} installed" if missing else None


def _compile(network: StreamingStep, _: torch.dtype) -> Step:
    return torch.compile(network, dynamic=False)


def _exported(run: Callable[[Path], Step]) -> Callable[[StreamingStep, torch.dtype], Step]:
    """The way over a file, which is gone once the runtime has read it; what frames do not change is folded before."""

    def build(network: StreamingStep, frame_dtype: torch.dtype) -> Step:
        frozen = copy.deepcopy(network)
        frozen.detector.freeze(torch.float32)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "step.onnx"
            export_onnx(frozen, file, dtype=frame_dtype)
            return run(file)

    return build


def _onnxruntime(file: Path) -> Step:
    session = OnnxStream(file, torch.get_num_threads()).session
    names = [FRAME, *(entry.name for entry in session.get_inputs()[1:])]

    def step(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        feeds = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return tuple(torch.from_numpy(output) for output in session.run(None, feeds))

    return step


def _openvino(file: Path) -> Step:
    import openvino  # pyright: ignore[reportMissingImports]

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",  # its own choice is bfloat16 where the processor has it
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = core.compile_model(core.read_model(file), "CPU", settings)
    request = compiled.create_infer_request()

    def step(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results = request.infer([tensor.contiguous().numpy() for tensor in inputs], share_inputs=True)
        return tuple(torch.from_numpy(results[output]) for output in compiled.outputs)

    return step


_BUILDERS = {"compile": _compile, "onnx": _exported(_onnxruntime), "openvino": _exported(_openvino)}


def device_called(name: str) -> torch.device:
    """The device of a name.

    Raises:
        UserError: torch knows none of this name.
    """
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(
            expected="cpu, cuda or cuda:N", got=repr(name), where="device", fix="give one of them"
        ) from error
