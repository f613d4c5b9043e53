"""DETR: a transformer that predicts a set of boxes, without anchors and suppression."""

from models.detection.detr.spec import SPEC

__all__ = ["SPEC"]
