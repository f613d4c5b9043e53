"""Readers of checkpoints."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path

import torch

from modules.checkpoints.resume_points import is_finished
from modules.checkpoints.start import RunFolder, check_schedule, resume_point
from modules.weights.files import read_state_dict
from modules.weights.network_of import network_of
from scripts.soak.readers.reader import Reader

SCHEDULE = {"use": True, "total_steps": 9, "pct_start": 0.1, "div_factor": 20, "final_div_factor": 1000}
TRAINING = {"training": {"learning_rate": 0.1, "weight_decay": 0, "lr_scheduler": SCHEDULE}}


def _checkpoint(folder: Path, **more: object) -> Path:
    config = {"model": {"name": "a", "backbone": {"embed_dim": 8}}, "dataset": {"classes": ["car"]}, **TRAINING}
    state = {
        "state_dict": {"mdl.weight": torch.ones(4, 3), "mdl.bias": torch.zeros(4)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(4, 3)}}, "param_groups": [{"lr": 0.1}]}],
        "lr_schedulers": [{"last_epoch": 3}],
        "hyper_parameters": {"config": {**config, **more}},
        "global_step": 3,
        "epoch": 0,
        "pytorch-lightning_version": "2.5.0",
        "loops": {},
        "resume": {"stage": "complete", "ranks": [{}], "log_rows": 3, "row_to_come": {}, "figures": {"val/AP": 0.5}},
    }
    torch.save(state, folder / "last.ckpt")
    return folder / "last.ckpt"


def _read_resume_point(path: Path) -> None:
    found = resume_point(RunFolder(path.parent), path)
    assert found is not None, "it was asked for"
    is_finished(found[1], 3)
    check_schedule(found[1], TRAINING["training"], path)


def _read_network(path: Path) -> None:
    network_of(path, {"name": "a", "backbone": {"embed_dim": 8}}, {}, ["car"])


READERS = (
    Reader("weights/resume", _checkpoint, _read_resume_point),
    Reader("weights/network", _checkpoint, _read_network),
    Reader("weights/plain", _checkpoint, read_state_dict),
    Reader("weights/objects", partial(_checkpoint, own=Namespace(a=1)), read_state_dict),
)
