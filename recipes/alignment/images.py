"""An image whose sources are the reference stars."""

from __future__ import annotations

from collections.abc import Sequence

from hapdask.astrometry.detection import detect_sources
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.sources import COSMIC_RAY, EDGE
from hapdask.observe.exposure import open_exposures
from hapdask.observe.record import ExposureRecord


def image_stars(image: str, exposures: Sequence[ExposureRecord]) -> ReferenceCatalog:
    """Find the reference stars of an image."""
    (record,) = open_exposures(image, strict=True, select=False)
    found = detect_sources(record).without(COSMIC_RAY | EDGE)
    ra, dec = found.sky(record)
    return ReferenceCatalog.of(ra, dec, name=record.name, origin=record.url)
