"""Evaluation of a stream: however it is cut into chunks, lanes, groups and loader processes, the boxes are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from config.resolvers import register_resolvers
from data.batches.config import DataModuleConfig
from models.rnn_states import LstmStates
from modules.data.genx import DataModule
from modules.data.settings import data_module_config
from modules.detection import Module
from modules.evaluation import pieces
from modules.evaluation.streams import StreamingEvaluation
from tests.helpers.commands import SMALL
from tests.helpers.tiny_dataset import write_tiny_dataset
from utils.commands.cli import CONFIG_DIR
from utils.settings import plain


class RawBoxes:
    """A detector that reports some undecided boxes of every frame, so that no threshold hides a difference."""

    def __init__(self, module: Module) -> None:
        self.module = module.eval()
        self.device = torch.device("cpu")
        self.fresh_states = module.fresh_states

    def features(self, frames: Tensor, states: LstmStates | None) -> tuple[dict[int, Tensor], LstmStates]:
        """As the module."""
        with torch.no_grad():
            return self.module.features(frames, states)

    def detect(self, features: dict[int, Tensor], indices: Tensor) -> list[Tensor]:
        """Every tenth box [n, 7]."""
        picked = {stage: feature.flatten(0, 1).index_select(0, indices) for stage, feature in features.items()}
        with torch.no_grad():
            predictions, _ = self.module.mdl.forward_detect(picked)
        return list(predictions[:, ::10, :7].float())


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[RawBoxes, dict[str, Any]]:
    path = write_tiny_dataset(tmp_path_factory.mktemp("data"), train=1, val=3)
    register_resolvers()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = hydra.compose("val", overrides=[*SMALL, f"dataset.path={path}"])
    torch.manual_seed(0)
    config = plain(cfg)
    module = Module(config)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.08)  # so that the states have a say
    return RawBoxes(module), config


def boxes(detector: RawBoxes, config: dict[str, Any], **changes: Any) -> dict[tuple[str, int], np.ndarray[Any, Any]]:
    settings_ = data_module_config(config).__dict__ | changes
    data_module = DataModule(DataModuleConfig(**settings_))
    evaluation = StreamingEvaluation(config)
    for batch in data_module.val_dataloader()[0]:
        evaluation.step(detector, batch, 0)
    assert evaluation.collector.labels.keys() == evaluation.collector.views.keys()
    return {(Path(path).name, frame): rows[0] for (path, frame), rows in evaluation.collector.views.items()}


@pytest.fixture(scope="module")
def whole(stream: tuple[RawBoxes, dict[str, Any]]) -> dict[tuple[str, int], np.ndarray[Any, Any]]:
    return boxes(*stream, sequence_length=24, batch_size_eval=1)


def same(
    found: dict[tuple[str, int], np.ndarray[Any, Any]], expected: dict[tuple[str, int], np.ndarray[Any, Any]]
) -> None:
    assert found.keys() == expected.keys()
    for key, rows in expected.items():
        np.testing.assert_allclose(found[key], rows, rtol=1e-5, atol=2e-4, err_msg=str(key))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(length=st.integers(1, 30), lanes=st.integers(1, 4), groups=st.integers(1, 3))
def test_any_cut_gives_the_same_boxes(stream: Any, whole: Any, length: int, lanes: int, groups: int) -> None:
    same(boxes(*stream, sequence_length=length, batch_size_eval=lanes, num_stream_groups_eval=groups), whole)


def test_loader_processes_change_nothing(stream: Any, whole: Any) -> None:
    cut = {"sequence_length": 7, "batch_size_eval": 2, "num_stream_groups_eval": 2}
    alone, loaded = boxes(*stream, **cut), boxes(*stream, **cut, num_workers_eval=2)
    assert all(np.array_equal(alone[key], loaded[key]) for key in whole)


@pytest.mark.parametrize("steps", [1, 5])
def test_pieces_of_a_chunk_change_nothing(monkeypatch: pytest.MonkeyPatch, stream: Any, whole: Any, steps: int) -> None:
    detector, config = stream
    taken: list[int] = []

    class Counting(RawBoxes):
        def features(self, frames: Tensor, states: LstmStates | None) -> tuple[dict[int, Tensor], LstmStates]:
            taken.append(len(frames))
            return super().features(frames, states)

    frame = next(iter(DataModule(data_module_config(config)).val_dataloader()[0]))["inputs"].data[0, 0]
    monkeypatch.setattr(pieces, "AT_ONCE", steps * frame.numel())
    same(boxes(Counting(detector.module), config, sequence_length=24, batch_size_eval=1), whole)
    assert max(taken) <= steps


def test_all_frames_of_a_chunk_are_detected_piece_by_piece(monkeypatch: pytest.MonkeyPatch, stream: Any) -> None:
    module, begins = stream[0].module, torch.tensor([True, True])
    frames = torch.randint(0, 5, (7, 2, 20, 64, 96), dtype=torch.uint8)
    monkeypatch.setitem(module.config["model"]["postprocess"], "confidence_threshold", 1e-5)
    at_once, states = module.detect_sequence(frames, None, begins)
    monkeypatch.setattr(pieces, "AT_ONCE", 3 * frames[0].numel())
    assert [len(piece) for piece in pieces.pieces(frames)] == [3, 2, 2]
    found, ended = module.detect_sequence(frames, None, begins)
    assert [[len(lane) for lane in step] for step in found] == [[len(lane) for lane in step] for step in at_once]
    assert sum(len(lane) for step in found for lane in step) > 0
    torch.testing.assert_close(found, at_once, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ended, states, rtol=1e-4, atol=1e-5)


def test_the_state_matters(stream: Any, whole: Any) -> None:
    """With states forgotten between chunks the boxes differ, so the comparisons above see the carrying."""
    detector, config = stream

    class Forgetful(RawBoxes):
        def features(self, frames: Tensor, states: LstmStates | None) -> tuple[dict[int, Tensor], LstmStates]:
            return super().features(frames, None)

    found = boxes(Forgetful(detector.module), config, sequence_length=4)
    assert max(float(np.abs(found[key] - rows).max()) for key, rows in whole.items()) > 0.05
