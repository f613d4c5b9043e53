"""Fixtures of the model tests: golden arrays and the small model they were made with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.detection.recurrent_backbone.config import BackboneConfig
from models.detection.rnndet.config import DetectorConfig
from models.detection.yolox.config import FpnConfig, HeadConfig
from models.layers.config import AttentionConfig
from tests.helpers.golden_files import GOLDEN, load_golden

__all__ = ["GOLDEN", "assert_near", "load_golden", "pad_frames", "tiny_config", "tiny_weights"]


def tiny_config(in_res_hw=(64, 96), partition=(2, 3), num_classes=2, **head):
    backbone = BackboneConfig(
        embed_dim=32, in_res_hw=in_res_hw, partition_size=partition, attention=AttentionConfig(dim_head=32)
    )
    return DetectorConfig(
        backbone=backbone, fpn=FpnConfig(depth=0.33), head=HeadConfig(num_classes=num_classes, **head)
    )


def pad_frames(ev, hw):
    """uint8 [..., C, H, W] to float32 padded right and bottom."""
    x = torch.from_numpy(ev).float()
    return torch.nn.functional.pad(x, (0, hw[1] - x.shape[-1], 0, hw[0] - x.shape[-2]))


def assert_near(actual, expected, atol=0.0, rtol=0.0, name=""):
    """Every element within the tolerance; the values are compared in float64."""
    found = np.asarray(actual, dtype=np.float64)
    np.testing.assert_allclose(found, np.asarray(expected, dtype=np.float64), atol=atol, rtol=rtol, err_msg=name)


@pytest.fixture(scope="session")
def tiny_weights():
    arrays = load_golden("02_weights_gen1_tiny")
    return {key.removeprefix("mdl."): torch.from_numpy(value) for key, value in arrays.items()}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
