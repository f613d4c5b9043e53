"""Which task a dataset's folder is for, and models of another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data.clips.files import write_sequence
from modules.data.kind import check_kind, task_of_folder
from modules.weights.network_of import network_of
from utils.errors import UserError

DETECTOR, RESTORER = {"family": "rnndet"}, {"family": "vrt_spike"}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    pictures = np.zeros((2, 4, 4, 3), np.uint8)
    file = tmp_path / "clips" / "val" / "a.h5"
    write_sequence(file, {"blurred": pictures, "sharp": pictures}, np.zeros((2, 3, 4, 4), np.uint8), np.zeros((2, 2)))
    return tmp_path / "clips"


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    (tmp_path / "sequences" / "train" / "a").mkdir(parents=True)
    return tmp_path / "sequences"


def test_folders_tell_what_they_are_for(clips: Path, sequences: Path, tmp_path: Path) -> None:
    assert (task_of_folder(clips), task_of_folder(sequences)) == ("restoration", "detection")
    (clips / "train" / "b").mkdir(parents=True)
    (tmp_path / "recordings" / "train").mkdir(parents=True)
    (tmp_path / "recordings" / "train" / "a.h5").touch()
    assert [task_of_folder(folder) for folder in (clips, tmp_path / "recordings", tmp_path / "nothing")] == [None] * 3


def test_data_and_model_of_one_task(clips: Path, sequences: Path) -> None:
    check_kind(DETECTOR, sequences)
    check_kind(RESTORER, clips)
    with pytest.raises(UserError, match="the model is 'rnndet', a model for detection") as mistake:
        check_kind(DETECTOR, clips)
    assert "a dataset for restoration" in mistake.value.got
    assert "model=NAME of one for restoration" in mistake.value.fix


def test_a_checkpoint_of_another_task_is_told(clips: Path, sequences: Path, tmp_path: Path) -> None:
    for model, folder, words in ((DETECTOR, clips, "detection"), (RESTORER, sequences, "restoration")):
        file = tmp_path / f"{words}.ckpt"
        config = {"model": model, "dataset": {"classes": ["car"]}}
        torch.save({"state_dict": {}, "hyper_parameters": {"config": config}}, file)
        with pytest.raises(UserError, match=f"{file} holds '{model['family']}', a model for {words}") as mistake:
            network_of(file, {}, {}, ["scene"], folder)
        assert f"dataset.path=FOLDER of a dataset for {words}" in mistake.value.fix
    assert network_of(file, {"postprocess": {"nms_threshold": 0.45}}, {}) == RESTORER, "nothing of a detector's is left"
