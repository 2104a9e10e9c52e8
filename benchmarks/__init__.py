"""Benchmarks: each script measures one gate and prints the figure beside the figure asked for."""
