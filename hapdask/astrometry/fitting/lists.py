"""`Places` of what detection found, and of what a catalog has.

Not here: which sources and stars are fit for use (flags, magnitudes): leave out what is not before.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hapdask.astrometry.matching.places import Places
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.sources import SourceList
from hapdask.observe.record import ExposureRecord

#: Scatter per axis of the mean proper motion of a field's stars, mas / yr: what the Sun's own
#: motion, or a cluster's, makes of it.
MEAN_MOTION = 3.0


def places_of_sources(sources: SourceList, record: ExposureRecord) -> Places:
    """Give the sky positions of an exposure's sources, by the record's WCS.

    Parameters
    ----------
    sources : SourceList
    record : ExposureRecord
        Of the same exposure; not corrected, if the fit is to become its correction.

    Raises
    ------
    ParameterError
        If it is another exposure's record, or lacks a chip.
    """
    ra, dec = sources.sky(record)
    scales = {chip.extver: 1000.0 * chip.distortion.pixel_scale for chip in record.chips}
    scale = np.array([scales[extver] for extver in sources.extver.tolist()])
    with np.errstate(invalid="ignore", divide="ignore"):
        mag = np.where(sources.flux > 0, -2.5 * np.log10(sources.flux), np.nan)
    detector = np.column_stack([sources.extver, sources.x, sources.y]).astype(np.float64)
    error = sources.error * scale
    return Places.make(record.name, ra, dec, error, mag=mag, detector=detector)


def places_of_catalog(catalog: ReferenceCatalog) -> Places:
    """Give a catalog's stars where they stand: move it to the exposure's date first (`at`).

    Stars whose motion was not measured, be it unknown or a prior's, share an error: that of the
    mean motion of the field.
    """
    errors = (catalog.ra_error, catalog.dec_error)
    made = Places.make(catalog.name, catalog.ra, catalog.dec, errors, mag=catalog.mag)
    if catalog.published is None:
        return made
    known = np.isfinite(catalog.pmra) & np.isfinite(catalog.pmdec)
    still = ~known | (np.fmax(catalog.pmra_error, catalog.pmdec_error) >= MEAN_MOTION)
    years = np.abs(catalog.epoch - catalog.published.epoch)
    return replace(made, shared_error=np.where(still, MEAN_MOTION * years, 0.0))
