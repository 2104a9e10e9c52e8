"""Figures of quality of a visit as HAP's JSON files: of WCSs, of reference stars, between filters.

All is told of what the alignment found; no pixel is read.  Not here: the figures themselves
(`hapdask.products.svm.quality`, `quality_wcs`, `quality_stars`).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from hapdask.astrometry.grism.starting import wcs_names
from hapdask.errors import InputError, ParameterError
from hapdask.observe.adjusting.alternate import with_wcs
from hapdask.observe.fits import scan
from hapdask.observe.record import ExposureRecord
from hapdask.products.svm.quality import Item, Subject, diagnostic, write_diagnostic
from hapdask.products.svm.quality_stars import (
    distribution_items,
    interfilter_items,
    merged_positions,
    reference_items,
)
from hapdask.products.svm.quality_wcs import alignment_items, wcs_items
from hapdask.recipes.svm.aligned import Stars, VisitAlignment
from hapdask.recipes.svm.mosaics import Studio
from hapdask.recipes.svm.products import DetectorRun, Product
from hapdask.sky.footprint import Footprint

Test = tuple[str, str, Mapping[str, Item]]


def write_quality(
    run: DetectorRun,
    opened: Mapping[str, ExposureRecord],
    alignment: VisitAlignment,
    studio: Studio,
) -> list[Path]:
    """Write the figures of quality of the products of a detector.

    Parameters
    ----------
    run : DetectorRun
    opened : mapping of str to ExposureRecord
        As they were before they were aligned, by name.
    alignment : VisitAlignment
    studio : Studio

    Returns
    -------
    list of Path

    Raises
    ------
    StoreError
        If a file cannot be written.
    """
    from hapdask import __version__

    noon = datetime.datetime.combine(alignment.date, datetime.time(12), datetime.UTC)
    files = []
    for product in run.products:
        path = product.made.files[0]
        header = scan(str(path)).hdus[0].header
        subject = Subject(path.name, header, noon, f"hapdask {__version__}")
        for test, about, items in _tests(product, run, opened, alignment):
            if items:
                told = diagnostic(subject, about, items)
                files.append(write_diagnostic(told, studio.out, product.mosaic.name.stem, test))
    return files


def _tests(
    product: Product,
    run: DetectorRun,
    opened: Mapping[str, ExposureRecord],
    alignment: VisitAlignment,
) -> Iterator[Test]:
    """List what is told of a product: name of the test, its description, its items."""
    records, frame = product.mosaic.records, product.mosaic.frame
    footprint = Footprint(tuple(p for record in records for p in record.footprint.polygons))
    for name, stars in alignment.references.items():
        items = reference_items((stars.ra, stars.dec), stars.mag, footprint, name)
        yield "gaia_sources", "stars of the reference catalog in the product", items
        if product.kind == "filter":
            inside = footprint.contains(stars.ra, stars.dec)
            places = stars.ra[inside], stars.dec[inside]
            about = "how the stars of the reference catalog lie in the product"
            yield "gaia_distribution_characterization", about, distribution_items(places, frame)
        break  # the catalog that the visit was tied to
    if product.kind == "exposure":
        others = _others(opened[records[0].name])
        yield (
            "wcs",
            "WCS of the exposure, and the others of its file",
            wcs_items(records[0], others),
        )
    if product.kind == "total":
        yield "alignment", "how exposures are tied to the sky", alignment_items(records)
        filters = {
            steps.filter: _merged([alignment.stars[name] for name in steps.names])
            for steps in run.steps
        }
        about = "positions of the stars of one filter less those of another"
        yield "interfilter_crossmatch", about, interfilter_items(filters, frame)


def _merged(lists: Sequence[Stars]) -> tuple[np.ndarray, np.ndarray]:
    return merged_positions([(stars.ra, stars.dec) for stars in lists])


def _others(record: ExposureRecord) -> list[ExposureRecord]:
    """Open an exposure with each of the WCSs of its file."""
    found = [record]
    with suppress(InputError, ParameterError):  # what cannot be read is none to compare with
        for name in wcs_names(record):
            if name != record.wcsname:
                found += with_wcs([record], name)
    return found
