"""The recurrent detector: a backbone with memory, a feature pyramid and a YOLOX head."""

from models.detection.rnndet.spec import SPEC

__all__ = ["SPEC"]
