"""Checked settings of the feature pyramid and the YOLOX head."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.checks import require, require_positive, require_share
from utils.boxes import IGNORE_LABEL
from utils.errors import UserError

_WEIGHTING = re.compile(r"(obj|cls|objxcls)(-w\*\*(\d+(?:\.\d+)?))?")


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
        match = _WEIGHTING.fullmatch(str(self.bbox_loss_weighting))
        if match is None:
            raise UserError(
                expected="'', 'obj', 'cls' or 'objxcls', with a power as in 'cls-w**2'",
                got=repr(self.bbox_loss_weighting),
                where="head.bbox_loss_weighting",
                fix="use one of these names",
            )
        return match.group(1), float(match.group(3) or 1.0)
