"""Which rates hold, which to start from, and where the edge lies."""
