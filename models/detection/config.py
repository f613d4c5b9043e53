"""Checked settings of the detector and its three parts.

Plain frozen dataclasses: the model code knows no config framework. Every dataclass checks its fields when it is
made and raises :class:`utils.errors.UserError` with the name of the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from models.checks import require, require_positive, require_share
from models.detection.timm_config import TimmBackboneConfig
from models.layers.config import AttentionConfig, LstmConfig
from utils.boxes import IGNORE_LABEL
from utils.errors import UserError

NUM_STAGES = 4
STAGE_STRIDES = (4, 8, 16, 32)
"""Stride of stages 1 to 4 against the input."""

_WEIGHTING = re.compile(r"(obj|cls|objxcls)(-w\*\*(\d+(?:\.\d+)?))?")


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
            require(min(value) > 0, f"backbone.{name}", "positive numbers", value, "give numbers above 0")
        object.__setattr__(self, "in_res_hw", tuple(self.in_res_hw))
        object.__setattr__(self, "partition_size", tuple(self.partition_size))
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
            valid = len(value) == 2 and min(value) > 0
            require(valid, f"backbone.{name}", "a height and a width", value, "give two positive numbers")
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


@dataclass(frozen=True, kw_only=True)
class FpnConfig:
    """Path aggregation pyramid (YOLOX PAFPN).

    Args:
        depth: ``round(3 * depth)`` bottlenecks in each CSP layer.
        in_stages: the three backbone stages it reads, finest first.
        depthwise: depthwise separable 3x3 convolutions.
    """

    depth: float = 0.67
    in_stages: tuple[int, ...] = (2, 3, 4)
    depthwise: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_stages", tuple(self.in_stages))
        require_positive(self.depth, "fpn.depth")
        consecutive = self.in_stages in {(1, 2, 3), (2, 3, 4)}
        require(consecutive, "fpn.in_stages", "three neighbouring stages", self.in_stages, "give [2, 3, 4]")


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """YOLOX head and its loss (SimOTA, with LEOD's soft anchor assignment).

    Args:
        num_classes: number of classes.
        depthwise: depthwise separable 3x3 convolutions.
        ignore_label: class id of ignored boxes.
        ignore_bbox_thresh: per class: boxes with less objectness or class confidence become ignored; None for off.
        bbox_loss_weighting: '' or 'obj', 'cls', 'objxcls' (weight of a box's loss), with a power as in 'cls-w**2'.
        obj_focal_loss: focal objectness loss (alpha 0.25, gamma 2) in place of cross-entropy.
        ignore_bg_k: share of background anchors, the most confident ones, that take no objectness loss.
        use_l1: add an L1 loss on the raw box outputs.
        use_soft_labels: scores of pseudo boxes are soft targets of objectness and class, see ``losses.soft_targets``.
        soft_label_weight: 1: the target is the score itself; 0: it is 1, as without soft labels.
        temperature: divides the logit of the score before it becomes a target.
    """

    num_classes: int
    depthwise: bool = False
    ignore_label: int = IGNORE_LABEL
    ignore_bbox_thresh: tuple[float, ...] | None = None
    bbox_loss_weighting: str = ""
    obj_focal_loss: bool = False
    ignore_bg_k: float = 0.0
    use_l1: bool = False
    use_soft_labels: bool = False
    soft_label_weight: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self.num_classes, "head.num_classes")
        outside = self.ignore_label >= self.num_classes
        fix = f"keep the default {IGNORE_LABEL}"
        require(outside, "head.ignore_label", "an id that is no class", self.ignore_label, fix)
        require_share(self.ignore_bg_k, "head.ignore_bg_k")
        weight, where = self.soft_label_weight, "head.soft_label_weight"
        require(0 <= weight <= 1, where, "a share in [0, 1]", weight, "give a number such as 0.5")
        require_positive(self.temperature, "head.temperature")
        self.loss_weighting()
        if self.ignore_bbox_thresh is not None:
            thresholds = tuple(float(x) for x in self.ignore_bbox_thresh)
            object.__setattr__(self, "ignore_bbox_thresh", thresholds)
            matches = len(thresholds) == self.num_classes
            where = "head.ignore_bbox_thresh"
            require(matches, where, f"{self.num_classes} numbers, one a class", thresholds, "one threshold a class")

    def loss_weighting(self) -> tuple[str, float]:
        """What weighs a box's loss ('', 'obj', 'cls' or 'objxcls') and to which power.

        >>> HeadConfig(num_classes=2, bbox_loss_weighting="cls-w**2").loss_weighting()
        ('cls', 2.0)
        """
        if not self.bbox_loss_weighting:
            return "", 1.0
        match = _WEIGHTING.fullmatch(self.bbox_loss_weighting)
        if match is None:
            raise UserError(
                expected="'', 'obj', 'cls' or 'objxcls', with a power as in 'cls-w**2'",
                got=repr(self.bbox_loss_weighting),
                where="head.bbox_loss_weighting",
                fix="use one of these names",
            )
        return match.group(1), float(match.group(3) or 1.0)


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """The whole detector: backbone (recurrent transformer or any timm network), feature pyramid and head."""

    backbone: BackboneConfig | TimmBackboneConfig
    fpn: FpnConfig
    head: HeadConfig
