"""A trained detector for streams: one frame in, boxes out, states carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.rnn_states import LstmStates
from modules.checkpointing import load_checkpoint_file
from modules.detection import Module
from utils.errors import UserError
from utils.padding import padded_size, window_size


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


class StreamingInference:
    """Detects frame by frame; built from a checkpoint that this project wrote.

    Args:
        module: the detector with its weights.
        config: the configuration it was trained with, sizes adapted to the sensor.
        device: where it runs.
    """

    def __init__(self, module: Module, config: Mapping[str, Any], device: str) -> None:
        self.module = module.to(device).eval()
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
        self._states: LstmStates | None = None

    @classmethod
    def from_checkpoint(
        cls,
        path: Path | str,
        sensor_hw: tuple[int, int] | None = None,
        device: str = "cpu",
        confidence_threshold: float | None = None,
    ) -> StreamingInference:
        """Build the detector that a checkpoint describes.

        Args:
            path: checkpoint with this project's configuration in it.
            sensor_hw: height and width of the camera; None = the size it was trained on. Weights do not depend on
                the size: padding and attention windows follow it.
            device: ``cpu``, ``cuda`` or ``cuda:1``.
            confidence_threshold: detections below are dropped; None = as trained.

        Raises:
            UserError: not a checkpoint of this project.
        """
        checkpoint = load_checkpoint_file(path)
        config = checkpoint.get("hyper_parameters", {}).get("config")
        if config is None:
            raise UserError(
                expected="a checkpoint that holds its configuration",
                got="weights only",
                where=str(path),
                fix="use a checkpoint written by train.py",
            )
        if sensor_hw is not None:
            config["dataset"]["sensor_hw"] = list(sensor_hw)
            backbone = config["model"]["backbone"]
            split = int(backbone["partition_split_32"])
            size = padded_size(sensor_hw, bool(config["dataset"]["downsample_by_factor_2"]), split)
            backbone["in_res_hw"] = list(size)
            backbone["partition_size"] = list(window_size(size, split))
        if confidence_threshold is not None:
            config["model"]["postprocess"]["confidence_threshold"] = confidence_threshold
        module = Module(config)
        module.load_checkpoint_weights(checkpoint, where=str(path))
        return cls(module, config, device)

    def reset(self) -> None:
        """Forget the past: the next frame starts a new recording."""
        self._states = None

    @torch.inference_mode()
    def step(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Detect on the next frame.

        Args:
            frame: uint8 [C, H, W], the next window of the stream.

        Returns:
            float32 [n, 7]: x1, y1, x2, y2, objectness, class confidence, class; pixels of the frame.
        """
        frames = torch.from_numpy(np.ascontiguousarray(frame)).to(self.device)[None, None]
        is_first = torch.tensor([self._states is None])
        detections, self._states = self.module.detect_sequence(frames, self._states, is_first)
        return detections[0][0].float().cpu().numpy()
