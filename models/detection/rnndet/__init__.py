"""The recurrent detector: a backbone with memory, a feature pyramid and a YOLOX head."""
