"""Zero padding of frames to the detector's input size, and the sizes that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.errors import UserError

if TYPE_CHECKING:
    import torch

COARSEST_STRIDE = 32


def padded_size(sensor_hw: Sequence[int], half: bool, split: int) -> tuple[int, int]:
    """Frame size after halving, rounded up to a multiple of 32·split (RVT).

    Args:
        sensor_hw: height and width of the sensor in pixels.
        half: frames have half the sensor's resolution.
        split: attention windows per 32 pixels.

    >>> padded_size([240, 304], False, 1), padded_size([720, 1280], True, 2)
    ((256, 320), (384, 640))
    """
    multiple = COARSEST_STRIDE * split
    height, width = (int(size) // 2 if half else int(size) for size in sensor_hw)
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def window_size(in_res_hw: Sequence[int], split: int) -> tuple[int, int]:
    """Attention window in tokens: padded size / (32·split).

    >>> window_size([256, 320], 1), window_size([384, 640], 2)
    ((8, 10), (6, 10))
    """
    height, width = (int(size) // (COARSEST_STRIDE * split) for size in in_res_hw)
    return height, width


def pad_bottom_right(frames: torch.Tensor, target_hw: tuple[int, int]) -> torch.Tensor:
    """Pad the last two axes with zeros below and to the right.

    Args:
        frames: [..., H, W], any dtype (uint8 stays uint8).
        target_hw: height and width after padding.

    Returns:
        [..., target_h, target_w]; the same tensor when nothing is to be padded.

    Raises:
        UserError: the frames are larger than the target.

    >>> import torch
    >>> pad_bottom_right(torch.ones(2, 3, 5), (4, 8)).shape
    torch.Size([2, 4, 8])
    """
    from torch.nn.functional import pad  # the sizes above are asked for before torch is loaded

    missing_h, missing_w = _missing(frames, target_hw)
    if missing_h == 0 and missing_w == 0:
        return frames
    return pad(frames, (0, missing_w, 0, missing_h))


def pad_channels_last(frames: torch.Tensor, target_hw: tuple[int, int]) -> torch.Tensor:
    """As :func:`pad_bottom_right`, with channels last in memory, in one pass.

    Rows of the frames as they come are seldom a power of two long. Padded ones often are, and on a CPU reading them
    channel by channel then takes three times as long, as all channels of a pixel fall into one set of the cache.

    >>> import torch
    >>> pad_channels_last(torch.ones(2, 3, 5), (4, 8)).stride()
    (1, 16, 2)
    """
    *lead, channels, height, width = frames.shape
    _missing(frames, target_hw)
    padded = frames.new_zeros((*lead, *target_hw, channels))
    padded[..., :height, :width, :].copy_(frames.movedim(-3, -1))
    return padded.movedim(-1, -3)


def _missing(frames: torch.Tensor, target_hw: tuple[int, int]) -> tuple[int, int]:
    height, width = frames.shape[-2:]
    missing_h, missing_w = target_hw[0] - height, target_hw[1] - width
    if missing_h < 0 or missing_w < 0:
        raise UserError(
            expected=f"frames of at most {target_hw[0]}x{target_hw[1]} pixels (height x width)",
            got=f"{height}x{width}",
            where="dataset.sensor_hw and dataset.downsample_by_factor_2",
            fix="set them to the size of the dataset's frames",
        )
    return missing_h, missing_w


def padding_mask(frame_hw: tuple[int, int], target_hw: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Mark the padded pixels, bool [1, target_h, target_w], True where padded."""
    import torch

    mask = torch.ones((1, *target_hw), dtype=torch.bool, device=device)
    mask[:, : frame_hw[0], : frame_hw[1]] = False
    return mask
