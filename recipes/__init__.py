"""End-to-end pipelines: they compose the floors below and hold no algorithm."""
