"""Zero padding of frames to the detector's input size."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from utils.errors import UserError


def pad_bottom_right(frames: torch.Tensor, target_hw: tuple[int, int]) -> torch.Tensor:
    """Pad the last two axes with zeros below and to the right.

    Args:
        frames: [..., H, W], any dtype (uint8 stays uint8).
        target_hw: height and width after padding.

    Returns:
        [..., target_h, target_w]; the same tensor when nothing is to be padded.

    Raises:
        UserError: the frames are larger than the target.

    >>> pad_bottom_right(torch.ones(2, 3, 5), (4, 8)).shape
    torch.Size([2, 4, 8])
    """
    height, width = frames.shape[-2:]
    missing_h, missing_w = target_hw[0] - height, target_hw[1] - width
    if missing_h < 0 or missing_w < 0:
        raise UserError(
            expected=f"frames of at most {target_hw[0]}x{target_hw[1]} pixels (height x width)",
            got=f"{height}x{width}",
            where="dataset.sensor_hw and dataset.downsample_by_factor_2",
            fix="set them to the size of the dataset's frames",
        )
    if missing_h == 0 and missing_w == 0:
        return frames
    return F.pad(frames, (0, missing_w, 0, missing_h))


def padding_mask(frame_hw: tuple[int, int], target_hw: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Mark the padded pixels, bool [1, target_h, target_w], True where padded."""
    mask = torch.ones((1, *target_hw), dtype=torch.bool, device=device)
    mask[:, : frame_hw[0], : frame_hw[1]] = False
    return mask
