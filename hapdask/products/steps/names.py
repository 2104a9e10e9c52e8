"""Names of the files in which AstroDrizzle keeps its steps.

``<root>`` is the rootname of an exposure or of a product: an FLT and an FLC of one exposure share
theirs.  Not here: what stands in the files (`writing`).
"""

from __future__ import annotations

from pathlib import Path

from hapdask.products.names import inside


def single_path(folder: str | Path, root: str, plane: str) -> Path:
    """Name a plane (``sci`` or ``wht``) of an exposure drizzled by itself."""
    return inside(folder, f"{root}_single_{plane}.fits")


def median_path(folder: str | Path, root: str) -> Path:
    """Name the median of a product."""
    return inside(folder, f"{root}_med.fits")


def chip_path(folder: str | Path, root: str, extver: int, what: str) -> Path:
    """Name an image of a chip: ``blt``, ``crmask``, ``skymask``."""
    return inside(folder, f"{root}_sci{extver}_{what}.fits")


def static_mask_path(folder: str | Path, root: str, shape: tuple[int, int], extver: int) -> Path:
    """Name the static mask that all chips of a product share that have this (ny, nx) and EXTVER."""
    ny, nx = shape
    return inside(folder, f"{root}_{ny}x{nx}_{extver}_staticMask.fits")


def clean_path(folder: str | Path, root: str) -> Path:
    """Name the copy of an exposure without its cosmic rays."""
    return inside(folder, f"{root}_crclean.fits")
