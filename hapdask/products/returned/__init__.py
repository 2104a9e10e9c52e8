"""What inputs get back from a run, always in new files: updated copies, flags as zarr."""
