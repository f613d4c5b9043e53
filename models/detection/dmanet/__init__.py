"""DMANet: pillars of raw events, a residual network, long and short memory at three scales, RetinaNet heads."""

from models.detection.dmanet.spec import SPEC

__all__ = ["SPEC"]
