"""Drawing: boxes on frames, charts, videos."""
