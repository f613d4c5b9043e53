"""The detector outside training: frame by frame, and as an ONNX file."""
