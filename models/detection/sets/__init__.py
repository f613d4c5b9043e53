"""What detectors share that predict a set of boxes: boxes as shares of a frame, matching, detections without NMS."""
