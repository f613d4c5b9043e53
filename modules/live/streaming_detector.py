"""A trained detector for streams: one frame, or the events of one window, in; boxes out; states carried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.events.recording import Recording
from models.detection.cuda_graph import GraphedStep
from models.detection.streaming import StreamingStep
from models.registry import spec_for, spec_of_section
from models.transfer import to_device
from models.weights import load_tensors
from modules.detection import Module
from modules.live.engines import choose_engine, device_called
from modules.live.frames import FrameMaker, frame_hw
from modules.live.pillars import PillarMaker
from modules.live.result import Found
from modules.playback.opening import open_for
from modules.playback.sources import EventSource
from modules.weights.files import read_checkpoint
from modules.weights.published import config_for
from utils.boxes import Detection
from utils.errors import UserError

PIXELS = ("sensor", "frame")


class StreamingDetector:
    """Detects frame by frame; built from a checkpoint of this project, of RVT or of LEOD.

    >>> detector = StreamingDetector.from_checkpoint("last.ckpt")  # doctest: +SKIP
    >>> for window in windows:  # doctest: +SKIP
    ...     found = detector.step(window)  # found.boxes, found.scores, found.names, found.plot()
    >>> for found in detector.detect("street.aedat4"):  # doctest: +SKIP
    ...     print(found.time_us, found.names)

    Args:
        module: the detector with its weights.
        config: the configuration it was trained with, sizes adapted to the sensor.
        device: where it runs.
        cuda_graph: launch a frame's kernels together as a CUDA graph; None = where there is CUDA.
        precision: float16 or bfloat16 by autocast; float32 otherwise.
        engine: what computes a frame on a CPU in float32, see ``modules.live.engines``; elsewhere torch does.
        pixels: what boxes are in: ``sensor`` pixels, whatever the resolution of the frames, or pixels of the ``frame``.

    Raises:
        UserError: a CUDA graph or an engine is asked for where there is none, or other pixels.

    Attributes:
        classes: names by class id.
        frames: makes and checks the frames.
        sensor_hw, representation, frame_shape, frame_dtype: of the frames, see ``FrameMaker``.
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
        pixels: str = "sensor",
    ) -> None:
        if pixels not in PIXELS:
            raise UserError(expected=" or ".join(PIXELS), got=repr(pixels), where="pixels", fix="choose one")
        self.device = device_called(device)
        dataset = config["dataset"]
        self.classes: list[str] = list(dataset["classes"])
        self.frames = _maker(config, module)
        self.sensor_hw, self.representation = self.frames.sensor_hw, self.frames.settings
        self.frame_shape, self.frame_dtype = self.frames.shape, self.frames.dtype
        self.pixels, self._factor = pixels, self.frames.sensor_pixels if pixels == "sensor" else 1
        network = module.mdl.to(self.device).eval()
        # On a CPU nothing is folded: numbers stay those of the module to the last bit.
        self._autocast = self.device.type == "cpu" or not network.freeze(precision)
        self.network = StreamingStep(network, frame_hw(dataset))
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
        pixels: str = "sensor",
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
            pixels: see the class.

        Raises:
            UserError: no checkpoint, a file without configuration and none given, one that does not fit it, or a
                network that finds no boxes.
        """
        config, state = read_network(path, config)
        spec = spec_for("detection", config["model"])
        if sensor_hw is not None:
            if min(sensor_hw) < 1:
                raise UserError(expected="two sizes in pixels", got=str(sensor_hw), where="sensor_hw", fix="mend them")
            config["dataset"]["sensor_hw"] = list(sensor_hw)
            config["model"] = spec.for_frames(config["model"], frame_hw(config["dataset"]))
        if confidence_threshold is not None:
            config["model"]["postprocess"]["confidence_threshold"] = confidence_threshold
        module = Module(config)
        load_tensors(module.mdl, state, where=str(path))
        return cls(module, config, device, cuda_graph, precision, engine, pixels)

    def reset(self) -> None:
        """Forget the past: the next frame starts a new recording."""
        self.states = self.network.initial_states()

    def step(self, given: object, *more: object) -> Found:
        """Detect in the next window of the stream, and remember it.

        Args:
            given: a frame, uint8 or int8 [C, H, W], or the events of the window, from which the frame is then made:
                ``Events``, arrays (x, y, t, p), a structured array or a dict with these fields.
            more: y, t and p, where ``given`` is x.

        Raises:
            UserError: what is no frame of this detector and no window of events (``FrameMaker``).
        """
        found, self.states = self.step_from((given, *more) if more else given, self.states)
        return found

    @torch.inference_mode()
    def step_from(self, given: object, states: list[torch.Tensor]) -> tuple[Found, list[torch.Tensor]]:
        """As :meth:`step`, with the states given and returned; nothing is remembered.

        Raises:
            UserError: as ``step``, or states that are not those of this network.
        """
        self._check_states(states)
        frame = self.frames.frame(given)
        inputs = to_device(torch.from_numpy(np.ascontiguousarray(frame)), self.device)[None]
        predictions, *states = self._step(inputs, *states)
        (found,) = self.network.detector.boxes(predictions, self.confidence_threshold, self.nms_threshold)
        rows = found.float().cpu().numpy()
        rows[:, Detection.CORNERS] *= self._factor
        hw = self.sensor_hw if self.pixels == "sensor" else self.network.frame_hw
        return Found(rows, self.classes, self.frames.shown(frame), hw, None, 1000 * self.representation.dt_ms), states

    def _check_states(self, states: object) -> None:
        own = [list(state.shape) for state in self.states]
        given = list(states) if isinstance(states, (list, tuple)) else [states]
        if [list(getattr(state, "shape", ())) for state in given] != own:
            shapes = [list(state.shape) if isinstance(state, torch.Tensor) else type(state).__name__ for state in given]
            raise UserError(
                expected=f"the {len(own)} states of this detector: {', '.join(map(str, own))}",
                got=", ".join(map(str, shapes)) or "none",
                where="states",
                fix="give what step_from returned, or detector.network.initial_states() at the start of a recording",
            )

    def detect(self, recording: Path | str | Recording) -> Iterator[Found]:
        """Detect in a whole recording, window after window, in constant memory; the stream of :meth:`step` goes on.

        Args:
            recording: a file of any format, an open recording, or the folder of a preprocessed sequence.

        Returns:
            what is found in each window, ``time_us`` its end.

        Raises:
            UserError: nothing that can be played, or of a camera of another size.
        """
        source = open_for(recording, self.representation, self.sensor_hw)
        return self._play(source)

    def _play(self, source: EventSource) -> Iterator[Found]:
        states = self.network.initial_states()
        for end in source.ticks(source.start_us, source.stop_us, self.representation.dt_ms * 1000).tolist():
            found, states = self.step_from(source.stack(end), states)
            yield replace(found, time_us=end)

    def _eager_step(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        enabled = self._autocast and self.precision != torch.float32
        with torch.autocast(self.device.type, dtype=self.precision if enabled else None, enabled=enabled):
            return self.network(*inputs)


def _maker(config: Mapping[str, Any], module: Module) -> FrameMaker:
    """What makes the inputs that the model reads."""
    dataset = config["dataset"]
    if spec_of_section(config["model"]).payload == "frames":
        return FrameMaker(dataset)
    return PillarMaker(dataset, config["model"], module.mdl.blank(1, frame_hw(dataset)).shape[2])


def read_network(path: Path | str, config: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Configuration and tensors of a checkpoint; the configuration of files without one comes from ``config``.

    Raises:
        UserError: no checkpoint, or a file without configuration and none given.
    """
    _, state, own = read_checkpoint(path)
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
