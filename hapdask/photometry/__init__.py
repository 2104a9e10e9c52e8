"""Photometry: the flux factors that bring all chips of a layer to one photometric system."""
