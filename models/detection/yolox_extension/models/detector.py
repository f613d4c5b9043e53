"""Door to ``models.detection.rnndet.detector`` under the name that published programs use."""

from models.detection.rnndet.detector import YoloXDetector

__all__ = ["YoloXDetector"]
