"""TweakReg's way: exposures one by one to a catalog or to the first of them, growing it.

Here: the order of exposures, what they are matched with, second tries, and the references that
``expand_refcat`` adds (facts/astrodrizzle.md 3.2).  Not here: one exposure's match and fit
(`tweak_one`), detection, files, headers, plots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.fitting.overlaps import overlap_areas
from hapdask.astrometry.fitting.tweak_one import Against, tweak_one
from hapdask.astrometry.fitting.tweaked import TweakRegFit, TweakRegRun
from hapdask.astrometry.matching.places import Places
from hapdask.config.alignment import AlignmentParameters, TweakRegMatching
from hapdask.errors import ParameterError
from hapdask.observe.distortion import sky_of_plane
from hapdask.sky.frame import Frame

Floats = NDArray[np.float64]


def run_tweakreg(
    exposures: Sequence[Places],
    refcat: Places | None,
    parameters: TweakRegMatching,
    *,
    frame: Frame,
    rules: AlignmentParameters | None,
    outlines: Sequence[tuple[Floats, Floats]] | None = None,
) -> TweakRegRun:
    """Align exposures as TweakReg does.

    Parameters
    ----------
    exposures : sequence of Places
        Sources of each by its header, in the user's order.  Rows of the results count in these.
    refcat : Places or None
        Reference stars at the exposures' epoch, or the sources of a reference image; None aligns
        relatively, to the first exposure (or to one of the pair with the largest overlap, with
        ``expand_refcat`` and without ``enforce_user_order``).  An exposure of the same name as
        ``refcat`` is the reference and stays.
    parameters : TweakRegMatching
    frame : Frame
        Undistorted grid that pixels (tolerances, separations, offsets, residuals) are of: upstream
        takes the output WCS of all chips.  Corrections are about its tangent point.
    rules : AlignmentParameters or None
        Acceptance: a fit that its matches cannot justify, or that held-out matches contradict, is
        refused, and one no better than the header leaves it.  None believes every fit that
        has ``minobj`` matches, as upstream does.
    outlines : sequence of (ra, dec), degrees, optional
        Points around each exposure; its sources if not given.

    Returns
    -------
    TweakRegRun
        Also where nothing could be aligned: each exposure says why.

    Raises
    ------
    ParameterError
        If exposures share a name, or outlines are not one for each.
    """
    if len({each.name for each in exposures}) < len(exposures):
        raise ParameterError("two exposures have one name")
    if outlines is not None and len(outlines) != len(exposures):
        raise ParameterError(f"{len(outlines)} outlines for {len(exposures)} exposures")
    run = _Run(exposures, parameters, rules, frame, outlines)
    run.begin(refcat)
    run.go()
    return run.finished()


class _Run:
    """The state of a run."""

    def __init__(
        self,
        exposures: Sequence[Places],
        parameters: TweakRegMatching,
        rules: AlignmentParameters | None,
        frame: Frame,
        outlines: Sequence[tuple[Floats, Floats]] | None,
    ) -> None:
        self.exposures, self.parameters, self.rules, self.frame = (
            exposures,
            parameters,
            rules,
            frame,
        )
        skies = outlines or [(each.ra, each.dec) for each in exposures]
        self.outlines = [Places.make("outline", *sky, 0.0) for sky in skies]
        self.fits: dict[int, TweakRegFit] = {}
        self.order: list[int] = []
        least = max(1, parameters.minobj)
        self.waiting = [k for k, each in enumerate(exposures) if len(each) >= least]
        for k, each in enumerate(exposures):
            if k not in self.waiting:
                reason = f"{len(each)} sources of {least} needed" if len(each) else "no source"
                self.fits[k] = TweakRegFit(each.name, "unaligned", reason)

    def begin(self, refcat: Places | None) -> None:
        """Set the references, and the order of exposures."""
        if self.parameters.expand_refcat and not self.parameters.enforce_user_order:
            self._sort_by_overlap(refcat)
        nothing = np.zeros(0)
        first = refcat
        if first is None:
            made = Places.make("", nothing, nothing, nothing)
            first = self.exposures[self.waiting[0]] if self.waiting else made
        self.references = replace(first, detector=None)
        self.origin = [first.name] * len(first)
        for k in [k for k in self.waiting if self.exposures[k].name == first.name]:
            self.waiting.remove(k)
            self.order.append(k)
            self.fits[k] = TweakRegFit(
                first.name, "reference", "the reference of the others", first.name
            )

    def _sort_by_overlap(self, refcat: Places | None) -> None:
        """Put the exposures in the order of their overlap with the reference, largest first.

        Equal ones, upstream by the order given, by sources and name.
        """
        self.waiting.sort(key=lambda k: (-len(self.exposures[k]), self.exposures[k].name))
        planes = [self._plane(self.outlines[k]) for k in self.waiting]
        if refcat is not None:
            areas = overlap_areas([self._plane(refcat), *planes])[0, 1:]
            order = np.argsort(-areas, kind="stable")
        elif len(planes) > 1:
            areas = overlap_areas(planes)
            pair = np.unravel_index(int(np.argmax(areas)), areas.shape)
            first = max((int(p) for p in pair), key=lambda k: (float(areas[k].sum()), -k))
            towards = areas[first].copy()
            towards[first] = np.inf
            order = np.argsort(-towards, kind="stable")
        else:
            return
        self.waiting = [self.waiting[int(k)] for k in order]

    def _plane(self, places: Places) -> Floats:
        return places.in_plane(self.frame.crval).xy

    def go(self) -> None:
        """Take the exposures in turn; what finds no match tries again after the others."""
        tries = dict.fromkeys(self.waiting, 0)
        while self.waiting:
            k = self.waiting.pop(0)
            if k in self.order:
                self.order.remove(k)
            self.order.append(k)
            tries[k] += 1
            self.fits[k] = self._one(k)
            sound = self.fits[k].status in ("aligned", "confirmed")
            if sound and self.parameters.expand_refcat:
                self._expand(k)
            elif not sound and self.parameters.expand_refcat and tries[k] < 2:
                self.waiting.append(k)

    def _one(self, k: int) -> TweakRegFit:
        before = self.fits.get(k)
        against = Against(
            self.references, self.frame, self.parameters, self.rules, self.references.name
        )
        found = tweak_one(self.exposures[k], self.outlines[k], against)
        return replace(found, attempts=(before.attempts if before else ()) + found.attempts)

    def _expand(self, k: int) -> None:
        """Add the sources of an exposure that match no reference, where its fit puts them."""
        matches, fit = self.fits[k].matches, self.fits[k]
        assert matches is not None
        new = np.ones(len(self.exposures[k]), np.bool_)
        new[matches.sources] = False
        mine = self.exposures[k].take(new)
        if fit.correction is not None and fit.fit is not None:
            xi, eta = np.radians(fit.fit.apply(mine.in_plane(self.frame.crval).xy).T / 3600.0)
            ra, dec = sky_of_plane(xi, eta, self.frame.crval)
            mine = replace(mine, ra=ra, dec=dec)
        self.references = Places.joined(self.references.name, [self.references, mine])
        self.origin += [self.exposures[k].name] * len(mine)

    def finished(self) -> TweakRegRun:
        """Give what was found, in the order given."""
        return TweakRegRun(
            fits=tuple(self.fits[k] for k in range(len(self.exposures))),
            references=self.references,
            origin=tuple(self.origin),
            order=tuple(self.exposures[k].name for k in self.order),
        )
