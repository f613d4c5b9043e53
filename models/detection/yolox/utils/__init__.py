"""Box helpers of the YOLOX head."""
