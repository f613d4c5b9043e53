"""Door to ``data.sampling.stream_lanes`` under the name that published programs use."""

from data.sampling.stream_lanes import StreamLane

__all__ = ["StreamLane"]
