"""One stage of the recurrent transformer: downsampling, attention, recurrence."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.compilation import compiled
from models.detection.recurrent_backbone.config import STAGE_STRIDES, BackboneConfig
from models.layers.attention import OverlappingDownsample, WindowGridPair, dense_channels_last
from models.layers.lstm import ConvLstm, LstmState

CACHED_ELEMENTS = 1 << 19
"""Tokens x channels of one stage that run at once on a CPU: 2 MB in float32, and four times that within the MLP."""


class RNNDetectorStage(nn.Module):
    """Downsampling, window and grid attention, convolutional LSTM."""

    def __init__(self, cfg: BackboneConfig, index: int) -> None:
        super().__init__()
        dim = cfg.stage_dims[index]
        dim_in = cfg.input_channels if index == 0 else cfg.stage_dims[index - 1]
        factor = STAGE_STRIDES[0] if index == 0 else 2
        self.dim, self.factor = dim, factor
        eps = cfg.attention.norm_eps
        self.use_checkpoint = cfg.use_gradient_checkpointing
        self.compile_mode = cfg.compile.mode if cfg.compile.enable else None
        self.mask_token: nn.Parameter | None = None
        if cfg.enable_masking and index == 0:
            self.mask_token = nn.Parameter(torch.empty(1, 1, 1, dim).normal_(std=0.02))
        self.downsample_cf2cl = OverlappingDownsample(dim_in, dim, factor, eps)
        # The first block reads tokens that the downsampling has just normed.
        self.att_blocks = nn.ModuleList(
            WindowGridPair(dim, cfg.partition_size, block == 0, cfg.attention) for block in range(cfg.num_blocks[index])
        )
        chrono = None if cfg.T_max_chrono_init is None else cfg.T_max_chrono_init[index]
        self.lstm = ConvLstm(dim, cfg.lstm, chrono)

    def forward(self, x: Tensor, state: LstmState | None, token_mask: Tensor | None = None) -> tuple[Tensor, LstmState]:
        """Attention on all frames at once, then the recurrence.

        Args:
            x: [L, B, C_in, H, W].
            state: hidden and cell state [B, C, h, w], None for zeros.
            token_mask: bool [L, B, h, w] or None; needs ``enable_masking``.

        Returns:
            hidden states [L, B, C, h, w] and the last state.
        """
        steps, lanes = x.shape[:2]
        frames = dense_channels_last(x.flatten(0, 1))
        mask = None if token_mask is None else token_mask.flatten(0, 1)
        attend = attend_frames
        if self.compile_mode is not None and not torch.compiler.is_compiling():
            attend = compiled(attend_frames, self.compile_mode)
        if self.use_checkpoint and torch.is_grad_enabled():
            tokens = checkpoint(attend, self, frames, mask, use_reentrant=False)
            assert isinstance(tokens, Tensor)
        elif attend is attend_frames and (group := self._frames_in_cache(frames)) < len(frames):
            parts = frames.split(group)
            masks = [None] * len(parts) if mask is None else mask.split(group)
            tokens = torch.cat([attend_frames(self, *part) for part in zip(parts, masks, strict=True)])
        else:
            tokens = attend(self, frames, mask)
        hidden, last = self.lstm(tokens.unflatten(0, (steps, lanes)), state)
        return hidden.permute(0, 1, 4, 2, 3), last

    def replace_masked(self, tokens: Tensor, token_mask: Tensor | None) -> Tensor:
        """Put the learned token where the mask [N, h, w] is true: ``[N, h, w, C] -> [N, h, w, C]``.

        Raises:
            ValueError: there is a mask, but no learned token.
        """
        if token_mask is None:
            return tokens
        if self.mask_token is None:
            raise ValueError("a token mask was given, but the backbone was built without enable_masking")
        return torch.where(token_mask.unsqueeze(-1), self.mask_token.to(tokens.dtype), tokens)

    def _frames_in_cache(self, frames: Tensor) -> int:
        """How many frames to run at once so that a CPU's caches hold their tokens; all on other devices."""
        if frames.device.type != "cpu" or torch.compiler.is_compiling():
            return len(frames)
        tokens = self.dim * frames.shape[-2] * frames.shape[-1] // self.factor**2
        return max(1, CACHED_ELEMENTS // tokens)


def attend_frames(stage: RNNDetectorStage, frames: Tensor, token_mask: Tensor | None) -> Tensor:
    """Body of a stage, all that does not link frames: ``[N, C_in, H, W] -> [N, h, w, C]``, channels last."""
    x = stage.replace_masked(stage.downsample_cf2cl(frames), token_mask)
    for block in stage.att_blocks:
        x = block(x)
    return x
