"""Which sources of an aligned exposure are which stars, and how far from them: for files and plots.

Whatever the way of alignment: an exposure that was aligned as TweakReg does has the matches of its
fit; of others the sources are compared with the catalog where their final WCS puts them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.lists import places_of_catalog, places_of_sources
from hapdask.astrometry.fitting.tweaked import OffsetHistogram, TweakRegMatches
from hapdask.astrometry.matching.nearest import match_nearest
from hapdask.astrometry.matching.places import Places
from hapdask.drizzling.output_frame import output_frame
from hapdask.recipes.alignment.placing import Placed
from hapdask.sky.frame import Frame

if TYPE_CHECKING:
    from hapdask.recipes.alignment.result import Aligned, Alignment

Floats = NDArray[np.float64]

#: Matches lie within so many errors, and within these limits, arcsec.
_ERRORS, _NEAREST, _FARTHEST = 5.0, 0.01, 0.2
#: Of a histogram, pixels: what a picture can show.
_WIDEST = 150


class Frames:
    """The reference grids of an alignment's fields, and what is told in their pixels.

    Parameters
    ----------
    alignment : Alignment
    """

    def __init__(self, alignment: Alignment) -> None:
        self.alignment = alignment
        self._matches: dict[str, TweakRegMatches | None] = {}

    @cached_property
    def _fields(self) -> dict[str, tuple[Placed, Frame]]:
        known = {e.opened.name for e in self.alignment}
        found = {}
        for placed in self.alignment.fields:
            names = [e for e in placed.field.exposures if e.name in known]
            frame = output_frame(names) if names else None
            found.update({e.name: (placed, frame) for e in names if frame is not None})
        return found

    def of(self, aligned: Aligned) -> Frame:
        """Grid of an exposure's field: AstroDrizzle's default one."""
        return self._fields[aligned.opened.name][1]

    def origin(self, aligned: Aligned) -> str:
        """Where the stars come from that an exposure is compared with."""
        if aligned.catalog is None:
            return aligned.placement.reference or "-"
        return aligned.catalog.name

    def matches(self, aligned: Aligned) -> TweakRegMatches | None:
        """Give the matches of an exposure; None where there is no tie."""
        name = aligned.opened.name
        if name not in self._matches:
            run = self._fields[name][0].run
            if run is None:
                self._matches[name] = matches_of(aligned, self.of(aligned))
            else:
                fits = {fit.exposure: fit.matches for fit in run.fits}
                self._matches[name] = fits.get(name)
        return self._matches[name]

    def histogram(self, aligned: Aligned) -> OffsetHistogram | None:
        """Give the 2-D histogram of an exposure; None without a catalog."""
        name = aligned.opened.name
        run = self._fields[name][0].run
        if run is not None:
            return {fit.exposure: fit.histogram for fit in run.fits}.get(name)
        frame = self.of(aligned)
        radius = self.alignment.rules_of(aligned).searchrad / frame.pixel_scale
        return histogram_of(aligned, frame, radius)

    def residual_map(self, aligned: Aligned) -> dict[str, Any] | None:
        """Tell the residuals over the detector as plain data: pixels (0-based) and mas."""
        matches = self.matches(aligned)
        if matches is None or not len(matches):
            return None
        sources = aligned.sources.take(matches.sources)
        cd = np.reshape(self.of(aligned).cd, (2, 2))
        east, north = 3.6e6 * cd @ matches.residuals.T
        return {
            "extver": sources.extver.tolist(),
            "x": np.round(sources.x, 3).tolist(),
            "y": np.round(sources.y, 3).tolist(),
            "east_mas": np.round(east, 2).tolist(),
            "north_mas": np.round(north, 2).tolist(),
            "used": matches.used.tolist(),
        }


def matches_of(aligned: Aligned, frame: Frame) -> TweakRegMatches | None:
    """Give the matches of an exposure with the catalog that it was tied to.

    Parameters
    ----------
    aligned : Aligned
    frame : Frame
        Whose pixels are meant.

    Returns
    -------
    TweakRegMatches or None
        None where there is no catalog or no tie.  Rows are those of the exposure's sources, and
        of the catalog.
    """
    if aligned.catalog is None or not aligned.fits or not len(aligned.sources):
        return None
    before = places_of_sources(aligned.sources, aligned.opened)
    ra, dec = aligned.sources.sky(aligned.record)
    after = Places.make("", ra, dec, (before.ra_error, before.dec_error))
    stars = places_of_catalog(aligned.catalog)
    center = frame.crval
    mine, theirs = after.in_plane(center), stars.in_plane(center)
    spread = mine.variance.max(axis=1) + float(np.median(theirs.variance))
    limit = np.clip(_ERRORS * np.sqrt(spread), _NEAREST, _FARTHEST)
    pairs = match_nearest(mine.xy, theirs.xy, limit)
    here, there = pairs.sources, pairs.references
    return TweakRegMatches(
        sources=here,
        references=there,
        used=np.ones(len(pairs), bool),
        found=_pixels(frame, before.ra[here], before.dec[here]),
        reference=_pixels(frame, stars.ra[there], stars.dec[there]),
        fitted=_pixels(frame, ra[here], dec[here]),
        ra=ra[here],
        dec=dec[here],
    )


def histogram_of(aligned: Aligned, frame: Frame, radius: float) -> OffsetHistogram | None:
    """Count the differences of all pairs of sources and stars, by the header.

    Parameters
    ----------
    aligned : Aligned
    frame : Frame
    radius : float, pixels
    """
    if aligned.catalog is None or not len(aligned.catalog) or not len(aligned.sources):
        return None
    radius = min(radius, float(_WIDEST))
    mine = _pixels(frame, *aligned.sources.sky(aligned.opened))
    theirs = _pixels(frame, aligned.catalog.ra, aligned.catalog.dec)
    return OffsetHistogram.of(mine, theirs, radius)


def _pixels(frame: Frame, ra: Floats, dec: Floats) -> Floats:
    return np.stack(frame.sky_to_pixel(ra, dec), axis=1)
