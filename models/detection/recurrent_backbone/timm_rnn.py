"""Any timm network as a recurrent backbone: its features, and a memory at each stride."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.detection.recurrent_backbone.base import BackboneFeatures, BaseDetector, frame_dtype
from models.detection.recurrent_backbone.config import STAGE_STRIDES
from models.detection.recurrent_backbone.timm_config import TimmBackboneConfig
from models.detection.recurrent_backbone.timm_maps import TIMM_ERRORS, maps_of_stages, refuse
from models.layers.config import LstmConfig
from models.layers.gru import ConvGru
from models.layers.lstm import ConvLstm
from utils.errors import UserError


class TimmStage(nn.Module):
    """Projection of one feature map to the stage's width, then its recurrence."""

    def __init__(self, dim_in: int, dim: int, recurrence: str) -> None:
        super().__init__()
        self.proj = nn.Linear(dim_in, dim)
        self.norm = nn.LayerNorm(dim)
        self.memory: ConvLstm | ConvGru | None = None
        if recurrence == "convlstm":
            self.memory = ConvLstm(dim, LstmConfig())
        elif recurrence == "convgru":
            self.memory = ConvGru(dim)

    def forward(self, tokens: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """``[L, B, h, w, C_in]`` and a state -> ``[L, B, C, h, w]`` and the state after the last frame."""
        x = self.norm(self.proj(tokens))
        last = None
        if self.memory is not None:
            x, last = self.memory(x, state)
        return x.permute(0, 1, 4, 2, 3), last


class TimmRnnDetector(BaseDetector):
    """Four stages at strides 4, 8, 16 and 32 from a timm network.

    Only the memories link frames, so the network runs on all L*B frames of a sequence at once. In training, batch
    normalisation therefore sees the statistics of all these frames; in evaluation a sequence gives the numbers of the
    loop over frames. States are those of the stages in order: (hidden, cell) for ``convlstm``, the hidden state for
    ``convgru``, an empty list for ``none``.

    Raises:
        UserError: timm does not know the network, or it does not give maps of these strides for the size of the frames.
    """

    def __init__(self, cfg: TimmBackboneConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.extractor = build_extractor(cfg)
        self._channels_last = str(getattr(self.extractor, "output_fmt", "NCHW")).endswith("NHWC")
        self._maps = maps_of_stages(self.extractor, cfg, self._channels_last)
        if cfg.use_gradient_checkpointing:
            self.extractor.set_grad_checkpointing()  # pyright: ignore[reportCallIssue]
        channels = [int(count) for count in self.extractor.feature_info.channels()]  # type: ignore[union-attr,operator]
        self.stages = nn.ModuleList(
            TimmStage(channels[index], dim, cfg.recurrence)
            for index, dim in zip(self._maps, cfg.stage_dims, strict=True)
        )

    def get_stage_dims(self, stages: tuple[int, ...]) -> tuple[int, ...]:
        """Channels of the given stages (numbers from 1)."""
        return tuple(self.cfg.stage_dims[stage - 1] for stage in stages)

    def get_strides(self, stages: tuple[int, ...]) -> tuple[int, ...]:
        """Strides in input pixels of the given stages (numbers from 1)."""
        return tuple(STAGE_STRIDES[stage - 1] for stage in stages)

    def forward(
        self, x: Tensor, prev_states: Any | None = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, Any]:
        """One frame per lane: ``x`` [B, C, H, W] -> features by stage [B, C, h, w] and states."""
        features, states = self.forward_sequence(x.unsqueeze(0), prev_states, token_mask)
        return {stage: feature[0] for stage, feature in features.items()}, states

    def forward_sequence(
        self, x: Tensor, prev_states: Any | None = None, token_mask: Tensor | None = None
    ) -> tuple[BackboneFeatures, Any]:
        """A sequence per lane: ``x`` [L, B, C, H, W] -> features by stage [L, B, C, h, w] and last states.

        Raises:
            ValueError: a token mask was given; these networks have no token for padded pixels.
        """
        if token_mask is not None:
            raise ValueError("a backbone made of a timm network takes no token mask")
        dtype = frame_dtype(x, self.stages[0].get_parameter("proj.weight"))
        maps = self.extractor(x.flatten(0, 1).to(dtype, memory_format=torch.channels_last))
        features: BackboneFeatures = {}
        states: list[Any] = []
        for index, stage in enumerate(self.stages):
            tokens = maps[self._maps[index]]
            tokens = tokens if self._channels_last else tokens.permute(0, 2, 3, 1)
            state = prev_states[index] if prev_states else None
            features[index + 1], state = stage(tokens.unflatten(0, x.shape[:2]), state)
            if state is not None:
                states.append(state)
        return features, states


def build_extractor(cfg: TimmBackboneConfig) -> nn.Module:
    """The network of timm that gives feature maps, with fresh weights.

    Raises:
        UserError: timm has no such network, or does not offer its features.
    """
    import timm  # here: it takes two seconds, and most detectors have no network of it

    if not timm.is_model(cfg.timm_name):
        near = timm.list_models(f"*{cfg.timm_name.split('_')[0]}*")[:4]
        raise UserError(
            expected="the name of a network in timm",
            got=repr(cfg.timm_name),
            where="backbone.timm_name",
            fix=f"for example {', '.join(near)}" if near else "for example resnet50; timm.list_models() lists all",
        )
    try:
        return create_network(cfg)
    except TIMM_ERRORS as error:
        refuse(cfg, "an error when timm builds it", error)


def create_network(cfg: TimmBackboneConfig, **weights: Any) -> nn.Module:
    """As timm makes it, for frames of these channels and size; ``weights`` are timm's arguments for pretrained ones."""
    import timm

    default = timm.get_pretrained_cfg(cfg.timm_name)
    # Networks with windows or position tables are built for one size.
    sized = {"img_size": cfg.in_res_hw} if default is not None and default.fixed_input_size else {}
    args = {**sized, **cfg.timm_args, **weights}
    return timm.create_model(cfg.timm_name, features_only=True, in_chans=cfg.input_channels, **args)
