"""YOLOX convolution blocks, detection head, SimOTA assignment and losses."""
