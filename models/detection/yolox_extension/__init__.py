"""The detector: recurrent backbone, feature pyramid and YOLOX head in one module."""
