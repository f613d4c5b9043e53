"""A trained detector for streams: one frame, or the events of one window, in; boxes out; states carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from data.events.types import Events
from data.representations.factory import make_representation
from models.detection.cuda_graph import GraphedStep
from models.detection.streaming import StreamingStep
from models.registry import spec_of_section
from models.transfer import to_device
from models.weights import load_tensors, strip_prefix
from modules.checkpoints.files import load_checkpoint_file
from modules.detection import Module
from modules.live.engines import choose_engine
from modules.weights.files import read_state_dict
from modules.weights.published import config_for
from utils.errors import UserError


@dataclass(frozen=True)
class RepresentationSettings:
    """How the frames of a detector are made from events.

    Args:
        kind: ``stacked_histogram`` or ``mixed_density``.
        bins: time bins per window.
        count_cutoff: largest count per pixel and bin, None = 255.
        dt_ms: window length in milliseconds.
        downsample_by_factor_2: frames have half the sensor's resolution.
    """

    kind: str
    bins: int
    count_cutoff: int | None
    dt_ms: float
    downsample_by_factor_2: bool


class StreamingDetector:
    """Detects frame by frame; built from a checkpoint of this project, of RVT or of LEOD.

    >>> detector = StreamingDetector.from_checkpoint("last.ckpt")  # doctest: +SKIP
    >>> for window in windows:  # doctest: +SKIP
    ...     boxes = detector.step(window)

    Args:
        module: the detector with its weights.
        config: the configuration it was trained with, sizes adapted to the sensor.
        device: where it runs.
        cuda_graph: launch a frame's kernels together as a CUDA graph; None = where there is CUDA.
        precision: float16 or bfloat16 by autocast; float32 otherwise.
        engine: what computes a frame on a CPU in float32, see ``modules.live.engines``; elsewhere torch does.

    Raises:
        UserError: a CUDA graph or an engine is asked for where there is none.

    Attributes:
        engine: the one that was taken.
        network: the network as a function of frame and states, for export and compilation.
        states: what is remembered of the past, tensors [1, C, h, w]; may be kept and put back.
    """

    def __init__(
        self,
        module: Module,
        config: Mapping[str, Any],
        device: str,
        cuda_graph: bool | None = None,
        precision: torch.dtype = torch.float32,
        engine: str = "eager",
    ) -> None:
        self.device = torch.device(device)
        dataset = config["dataset"]
        self.classes: list[str] = list(dataset["classes"])
        self.sensor_hw: tuple[int, int] = (int(dataset["sensor_hw"][0]), int(dataset["sensor_hw"][1]))
        settings = dataset["representation"]
        self.representation = RepresentationSettings(
            kind=settings["kind"],
            bins=int(settings["bins"]),
            count_cutoff=None if settings["count_cutoff"] is None else int(settings["count_cutoff"]),
            dt_ms=float(settings["dt_ms"]),
            downsample_by_factor_2=bool(dataset["downsample_by_factor_2"]),
        )
        self._builder = make_representation(
            self.representation.kind, self.representation.bins, self.representation.count_cutoff, settings["dt_ms"]
        )
        network = module.mdl.to(self.device).eval()
        # On a CPU nothing is folded: numbers stay those of the module to the last bit.
        self._autocast = self.device.type == "cpu" or not network.freeze(precision)
        self.network = StreamingStep(network, _frame_hw(dataset))
        self.states = self.network.initial_states()
        postprocessing = config["model"]["postprocess"]
        self.confidence_threshold = float(postprocessing["confidence_threshold"])
        self.nms_threshold = float(postprocessing["nms_threshold"])
        self.precision = precision
        if cuda_graph and self.device.type != "cuda":
            raise UserError(
                expected="a CUDA device for a CUDA graph",
                got=f"device {device}",
                where="cuda_graph=True",
                fix="give device='cuda', or leave cuda_graph out",
            )
        dtype = torch.from_numpy(np.empty(0, self.frame_dtype)).dtype
        self.engine, self._step = "eager", self._eager_step
        if self.device.type == "cpu" and precision == torch.float32:
            self.engine, self._step = choose_engine(engine, self.network, dtype)
        elif engine not in ("auto", "eager"):
            raise UserError(
                expected="engine=auto or eager on a GPU and in half precision",
                got=f"{engine} with device {device} and {precision}",
                where="engine",
                fix="leave engine out, or take the CPU and float32",
            )
        elif self.device.type == "cuda" and cuda_graph is not False:
            self._step = GraphedStep(self._eager_step, self.network.zero_frame(1).to(dtype), *self.states)

    @classmethod
    def from_checkpoint(
        cls,
        path: Path | str,
        sensor_hw: tuple[int, int] | None = None,
        device: str = "cpu",
        confidence_threshold: float | None = None,
        config: Mapping[str, Any] | None = None,
        cuda_graph: bool | None = None,
        precision: torch.dtype = torch.float32,
        engine: str = "eager",
    ) -> StreamingDetector:
        """Build the detector that a checkpoint describes.

        Args:
            path: checkpoint of this project, which holds its configuration, or weights of RVT or LEOD.
            sensor_hw: height and width of the camera; None = the size it was trained on. Weights do not depend on
                the size: what of the network does follows it.
            device: ``cpu``, ``cuda`` or ``cuda:1``.
            confidence_threshold: detections below are dropped; None = as trained.
            config: for files without one: dataset, representation and thresholds (``config.compose``); the size of
                the network is read off the file's shapes.
            cuda_graph: see the class.
            precision: see the class.
            engine: see the class.

        Raises:
            UserError: no checkpoint, a file without configuration and none given, or one that does not fit it.
        """
        config, state = read_network(path, config)
        if sensor_hw is not None:
            config["dataset"]["sensor_hw"] = list(sensor_hw)
            section = config["model"]
            config["model"] = spec_of_section(section).for_frames(section, _frame_hw(config["dataset"]))
        if confidence_threshold is not None:
            config["model"]["postprocess"]["confidence_threshold"] = confidence_threshold
        module = Module(config)
        load_tensors(module.mdl, state, where=str(path))
        return cls(module, config, device, cuda_graph, precision, engine)

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a frame."""
        return self._builder.channels, *self.network.frame_hw

    @property
    def frame_dtype(self) -> np.dtype[Any]:
        """uint8 (stacked histogram) or int8 (mixed density)."""
        return self._builder.dtype

    def reset(self) -> None:
        """Forget the past: the next frame starts a new recording."""
        self.states = self.network.initial_states()

    def step(self, frame: npt.NDArray[Any] | Events) -> npt.NDArray[np.float32]:
        """Detect on the next frame of the stream, and remember it.

        Args:
            frame: uint8 or int8 [C, H, W], or the events of the window, from which the frame is then made.

        Returns:
            float32 [n, 7]: x1, y1, x2, y2, objectness, class confidence, class; pixels of the frame.

        Raises:
            UserError: a frame of another shape than the detector's.
        """
        boxes, self.states = self.detect(frame, self.states)
        return boxes

    @torch.inference_mode()
    def detect(
        self, frame: npt.NDArray[Any] | Events, states: list[torch.Tensor]
    ) -> tuple[npt.NDArray[np.float32], list[torch.Tensor]]:
        """As :meth:`step`, with the states given and returned; nothing is remembered."""
        if isinstance(frame, Events):
            frame = self._builder.build(frame, *self.sensor_hw, self.representation.downsample_by_factor_2)
        if frame.shape != self.frame_shape:
            raise UserError(
                expected=f"a frame {list(self.frame_shape)} (channels, height, width)",
                got=str(list(frame.shape)),
                where="a frame given to the detector",
                fix="give the sensor's size with sensor_hw, and frames made as the checkpoint's dataset says",
            )
        inputs = to_device(torch.from_numpy(np.ascontiguousarray(frame)), self.device)[None]
        predictions, *states = self._step(inputs, *states)
        (found,) = self.network.detector.boxes(predictions, self.confidence_threshold, self.nms_threshold)
        return found.float().cpu().numpy(), states

    def _eager_step(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        enabled = self._autocast and self.precision != torch.float32
        with torch.autocast(self.device.type, dtype=self.precision if enabled else None, enabled=enabled):
            return self.network(*inputs)


def _frame_hw(dataset: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of a frame before padding."""
    height, width = (int(size) // (2 if dataset["downsample_by_factor_2"] else 1) for size in dataset["sensor_hw"])
    return height, width


def read_network(path: Path | str, config: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Configuration and tensors of a checkpoint; the configuration of files without one comes from ``config``.

    Raises:
        UserError: no checkpoint, or a file without configuration and none given.
    """
    try:
        checkpoint = load_checkpoint_file(path)
    except UserError:
        checkpoint = {}  # pickled objects, or no checkpoint at all, of which the next reader complains
    state = read_state_dict(path) if "state_dict" not in checkpoint else strip_prefix(checkpoint["state_dict"])
    parameters = checkpoint.get("hyper_parameters")
    own = parameters.get("config") if isinstance(parameters, Mapping) else None
    if own is None:
        return config_for(state, config, path), state
    if config is not None:
        raise UserError(
            expected="overrides for weights without configuration only",
            got="a checkpoint that holds its configuration",
            where=str(path),
            fix="leave the overrides out",
        )
    return own, state
