"""RT-DETR on the recurrent backbone: a small encoder over three scales, queries chosen by their scores, denoising."""

from models.detection.rtdetr.spec import SPEC

__all__ = ["SPEC"]
