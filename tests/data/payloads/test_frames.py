"""Frames of a batch: put together, mirrored, side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data.payloads.frames import FrameInputs, FramesPayload

PAYLOAD = FramesPayload()


def part(count: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(count).integers(1, 9, (count, 2, 3, 5)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16"])
def test_missing_windows_are_empty(dtype: str) -> None:
    parts = [part(4, dtype), None, part(2, dtype)]
    inputs = PAYLOAD.stacked(parts, 4, None)
    assert (inputs.lanes, inputs.size_hw, inputs.data.shape) == (3, (3, 5), (4, 3, 2, 3, 5))
    assert inputs.data.numpy().dtype == dtype
    for lane, expected in enumerate(parts):
        count = 0 if expected is None else len(expected)
        assert not inputs.data[count:, lane].any()
        if expected is not None:
            np.testing.assert_array_equal(inputs.data[:count, lane].numpy(), expected)


def test_padding_alone_looks_like_the_frames() -> None:
    inputs = PAYLOAD.stacked([None, None], 4, part(0, "int8"))
    assert inputs.data.shape == (4, 2, 2, 3, 5)
    assert inputs.data.dtype == torch.int8
    assert PAYLOAD.stacked([None, None], 4, None).data.shape == (4, 2, 0, 0, 0)


def test_mirrored_twice_is_the_same() -> None:
    inputs = PAYLOAD.stacked([part(4), part(3)], 4, None)
    once = inputs.mirrored()
    assert torch.equal(once.data[..., 0], inputs.data[..., -1])
    assert torch.equal(once.mirrored().data, inputs.data)
    both = inputs.beside(once)
    assert both.lanes == 4
    assert torch.equal(both.data[:, 2:], once.data)
    assert isinstance(both.to("cpu"), FrameInputs)
