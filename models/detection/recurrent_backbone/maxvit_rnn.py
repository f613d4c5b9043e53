"""Recurrent Vision Transformer backbone (RVT, Gehrig and Scaramuzza, CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.detection.recurrent_backbone.base import BackboneFeatures, BaseDetector, frame_dtype
from models.detection.recurrent_backbone.config import NUM_STAGES, STAGE_STRIDES, BackboneConfig
from models.detection.recurrent_backbone.maxvit_stage import RNNDetectorStage
from models.detection.recurrent_backbone.plain import plain_stage
from models.half_weights import CastTogether
from models.rnn_states import LstmStates


class RNNDetector(BaseDetector):
    """Four stages with strides 4, 8, 16 and 32; the feature of a stage is its LSTM's hidden state.

    Only the LSTM links frames, so a sequence is run stage by stage: downsampling and attention on all L*B frames at
    once, the recurrence along L, then the next stage. The numbers are those of the loop over frames.

    Attributes:
        plain: run frame by frame in the arithmetic of :mod:`models.detection.recurrent_backbone.plain` instead; from
            ``cfg.plain_arithmetic``, may be changed at any time.
    """

    def __init__(self, cfg: BackboneConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.plain = cfg.plain_arithmetic
        self.stages = nn.ModuleList(RNNDetectorStage(cfg, index) for index in range(NUM_STAGES))
        anew = cfg.use_gradient_checkpointing or cfg.compile.enable  # with weights from another time
        self._calls = [stage if anew else CastTogether(stage) for stage in self.stages]

    def get_stage_dims(self, stages: tuple[int, ...]) -> tuple[int, ...]:
        """Channels of the given stages (numbers from 1)."""
        return tuple(self.cfg.stage_dims[stage - 1] for stage in stages)

    def get_strides(self, stages: tuple[int, ...]) -> tuple[int, ...]:
        """Strides in input pixels of the given stages (numbers from 1)."""
        return tuple(STAGE_STRIDES[stage - 1] for stage in stages)

    def forward(
        self, x: Tensor, prev_states: LstmStates | None = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, LstmStates]:
        """One frame per lane: ``x`` [B, C, H, W] -> features by stage [B, C, h, w] and states."""
        if self.plain:
            return self._plain_frame(x, prev_states, token_mask)
        mask = None if token_mask is None else token_mask.unsqueeze(0)
        features, states = self.forward_sequence(x.unsqueeze(0), prev_states, mask)
        return {stage: feature[0] for stage, feature in features.items()}, states

    def forward_sequence(
        self, x: Tensor, prev_states: LstmStates | None = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, LstmStates]:
        """A sequence per lane: ``x`` [L, B, C, H, W] -> features by stage [L, B, C, h, w] and last states.

        Frames may be uint8 or int8: they are cast here, in one pass with the change of memory layout. ``token_mask``
        is bool, broadcastable to [L, B, H, W], True at pixels without data; it needs ``enable_masking``.
        """
        steps, lanes = x.shape[:2]
        if self.plain:
            mask = None if token_mask is None else token_mask.expand(steps, lanes, -1, -1)
            return super().forward_sequence(x, prev_states, mask)
        frames = x.flatten(0, 1).to(self._dtype(x), memory_format=torch.channels_last)
        x = frames.unflatten(0, (steps, lanes))
        if token_mask is not None:
            token_mask = self._token_mask(token_mask, steps, lanes)
        features: BackboneFeatures = {}
        states: LstmStates = []
        for index, call in enumerate(self._calls):
            previous = None if prev_states is None else prev_states[index]
            x, state = call(x, previous, token_mask if index == 0 else None)
            states.append(state)
            features[index + 1] = x
        return features, states

    def _plain_frame(
        self, x: Tensor, states: LstmStates | None, token_mask: Tensor | None
    ) -> tuple[BackboneFeatures, LstmStates]:
        mask = None if token_mask is None else self._token_mask(token_mask, 1, len(x))[0]
        x = x.to(self._dtype(x))
        new_states: LstmStates = []
        for index, stage in enumerate(self.stages):
            assert isinstance(stage, RNNDetectorStage)
            state = plain_stage(stage, x, None if states is None else states[index], mask if index == 0 else None)
            new_states.append(state)
            x = state[0]
        return {index: hidden for index, (hidden, _) in enumerate(new_states, start=1)}, new_states

    def _dtype(self, x: Tensor) -> torch.dtype:
        return frame_dtype(x, self.stages[0].get_parameter("downsample_cf2cl.conv.weight"))

    def _token_mask(self, pixel_mask: Tensor, steps: int, lanes: int) -> Tensor:
        """Tokens of stage 1 without a single pixel of data: bool [..., H, W] -> [L, B, H/4, W/4]."""
        cell = STAGE_STRIDES[0]
        height, width = pixel_mask.shape[-2:]
        cells = pixel_mask.unflatten(-1, (width // cell, cell)).unflatten(-3, (height // cell, cell))
        return cells.all(dim=-1).all(dim=-2).expand(steps, lanes, -1, -1)
