"""The detector outside training: frame by frame, and as an ONNX file."""

ENGINES = ("auto", "eager", "compile", "onnx", "openvino")
"""What can compute a frame on a CPU, see ``modules.live.engines``; here, where asking for the names loads nothing."""
