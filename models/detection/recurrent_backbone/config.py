"""Checked settings of the recurrent transformer backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from models.checks import require, require_positive
from models.layers.config import AttentionConfig, LstmConfig

NUM_STAGES = 4

STAGE_STRIDES = (4, 8, 16, 32)
"""Stride of stages 1 to 4 against the input."""

COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


@dataclass(frozen=True, kw_only=True)
class CompileConfig:
    """torch.compile of the stage bodies (downsampling and attention).

    Args:
        enable: compile; takes a minute or two at the first batches of a run.
        mode: of ``torch.compile``: ``default``, ``reduce-overhead`` (CUDA graphs), ``max-autotune`` and so on.
    """

    enable: bool = False
    mode: str = "default"

    def __post_init__(self) -> None:
        known = f"one of {', '.join(COMPILE_MODES)}"
        require(self.mode in COMPILE_MODES, "backbone.compile.mode", known, self.mode, "choose one of them")


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Recurrent Vision Transformer backbone (RVT, Gehrig and Scaramuzza 2023).

    Args:
        embed_dim: channels of stage 1; stage i has ``embed_dim * dim_multiplier[i]``.
        in_res_hw: height and width of the padded input in pixels.
        partition_size: rows and columns of an attention window (and of the grid), in tokens of every stage.
        input_channels: channels of a frame.
        dim_multiplier: channel factor of stages 1 to 4.
        num_blocks: window-and-grid pairs in stages 1 to 4.
        T_max_chrono_init: longest memory in frames of stages 1 to 4 for chrono initialisation, None for torch's.
        enable_masking: learn a token that replaces masked tokens of stage 1.
        use_gradient_checkpointing: recompute downsampling and attention in the backward pass to save memory.
        plain_arithmetic: every frame by itself, every formula written out; as the published programs rounded.
        compile: torch.compile of the stage bodies.
        attention: settings of the attention blocks.
        lstm: settings of the recurrent cells.
    """

    embed_dim: int
    in_res_hw: tuple[int, int]
    partition_size: tuple[int, int]
    input_channels: int = 20
    dim_multiplier: tuple[int, ...] = (1, 2, 4, 8)
    num_blocks: tuple[int, ...] = (1, 1, 1, 1)
    T_max_chrono_init: tuple[int, ...] | None = None
    enable_masking: bool = False
    use_gradient_checkpointing: bool = False
    plain_arithmetic: bool = False
    compile: CompileConfig = field(default_factory=CompileConfig)
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    lstm: LstmConfig = field(default_factory=LstmConfig)

    def __post_init__(self) -> None:
        require_positive(self.embed_dim, "backbone.embed_dim")
        require_positive(self.input_channels, "backbone.input_channels")
        four = f"{NUM_STAGES} numbers, one a stage"
        for name in ("dim_multiplier", "num_blocks", "T_max_chrono_init"):
            value = getattr(self, name)
            if value is None:
                continue
            object.__setattr__(self, name, tuple(value))
            require(len(value) == NUM_STAGES, f"backbone.{name}", four, value, "give four numbers")
            positive = all(isinstance(each, int | float) and each > 0 for each in value)
            require(positive, f"backbone.{name}", "positive numbers", value, "give numbers above 0")
        self._check_sizes()
        if self.plain_arithmetic:
            for key, on in (
                ("use_gradient_checkpointing", self.use_gradient_checkpointing),
                ("compile", self.compile.enable),
            ):
                require(not on, f"backbone.{key}", "off beside plain_arithmetic", on, "switch one of the two off")

    def _check_sizes(self) -> None:
        for name in ("in_res_hw", "partition_size"):
            value = getattr(self, name)
            valid = isinstance(value, Sequence) and len(value) == 2
            valid = valid and all(isinstance(each, int) and each > 0 for each in value)
            require(valid, f"backbone.{name}", "a height and a width", value, "give two positive numbers")
            object.__setattr__(self, name, tuple(value))
        for size, part in zip(self.in_res_hw, self.partition_size, strict=True):
            step = STAGE_STRIDES[-1] * part
            fix = "pad the input or choose a partition size that divides input size / 32"
            require(size % step == 0, "backbone.in_res_hw", f"a multiple of 32 * partition = {step}", size, fix)
        head = self.attention.dim_head
        for dim in self.stage_dims:
            fix = f"choose embed_dim and dim_head so that {head} divides every stage's channels"
            require(dim % head == 0, "backbone.attention.dim_head", f"a divisor of {dim}", head, fix)

    @property
    def stage_dims(self) -> tuple[int, ...]:
        """Channels of stages 1 to 4."""
        return tuple(self.embed_dim * factor for factor in self.dim_multiplier)
