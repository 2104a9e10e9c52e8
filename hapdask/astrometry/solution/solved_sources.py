"""The sources of a solution as columns of a release, and those of a release as reference stars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.solution.geometry import MAS
from hapdask.astrometry.solution.iterating import Solved
from hapdask.astrometry.solution.problem import Problem
from hapdask.astrometry.solution.release import Release, SolvedSources
from hapdask.sky.tangent import sky_of, unit_vectors

Floats = NDArray[np.float64]


def solved_sources(parts: Sequence[tuple[Problem, Solved]]) -> SolvedSources:
    """Give the sources of all groups that rest on a detection at least, by right ascension."""
    made = SolvedSources()
    for problem, solved in parts:
        made = made + _of_group(problem, solved)
    order = sorted(range(len(made)), key=lambda k: (made.ra[k], made.dec[k], made.epoch[k]))
    return made.take(order)


def _of_group(problem: Problem, solved: Solved) -> SolvedSources:
    count = np.bincount(problem.source[solved.weights.used], minlength=len(problem.star))
    keep = np.flatnonzero(count > 0)
    state = solved.state[keep]
    shift = np.einsum("nk,nkc->nc", state[:, :2], problem.tangent[keep], optimize=False) / MAS
    ra, dec = sky_of(problem.base[keep] + shift)
    error = np.sqrt(np.diagonal(solved.covariances.sources[keep], axis1=1, axis2=2))
    return SolvedSources(
        ra=_rounded(ra, 10),
        dec=_rounded(dec, 10),
        epoch=_rounded(problem.source_epoch[keep], 6),
        pmra=_rounded(state[:, 2], 4),
        pmdec=_rounded(state[:, 3], 4),
        ra_error=_rounded(error[:, 0], 4),
        dec_error=_rounded(error[:, 1], 4),
        pmra_error=_rounded(error[:, 2], 4),
        pmdec_error=_rounded(error[:, 3], 4),
        detections=tuple(int(c) for c in count[keep]),
        kind=tuple(problem.kind[keep].tolist()),
    )


def merged(published: SolvedSources, new: SolvedSources, radius: float) -> SolvedSources:
    """Put new sources beside published ones, and in place of those that they are.

    Parameters
    ----------
    published, new : SolvedSources
    radius : float, arcsec
        Nearer ones, at the epoch of the new one, are the same.
    """
    from scipy.spatial import cKDTree

    if not (len(published) and len(new)):
        return published + new
    there = unit_vectors(published.ra, published.dec)
    places = unit_vectors(new.ra, new.dec)
    # Proper motions between the two epochs widen the search, and the match is then made exactly.
    distance, nearest = cKDTree(places).query(there, k=1)
    dt = np.abs(np.array(new.epoch)[nearest] - np.array(published.epoch))
    drift = dt * np.hypot(published.pmra, published.pmdec)
    kept = np.flatnonzero(distance * MAS > 1e3 * radius + drift)
    both = published.take(kept.tolist()) + new
    order = sorted(range(len(both)), key=lambda k: (both.ra[k], both.dec[k], both.epoch[k]))
    return both.take(order)


def stars_of_release(release: Release | None, name: str = "") -> ReferenceCatalog | None:
    """Give the sources of a release as reference stars, of its name if none is given.

    None where it has none.
    """
    if release is None or not len(release.sources):
        return None
    sources = release.sources
    return ReferenceCatalog.of(
        sources.ra,
        sources.dec,
        ra_error=sources.ra_error,
        dec_error=sources.dec_error,
        pmra=sources.pmra,
        pmdec=sources.pmdec,
        pmra_error=sources.pmra_error,
        pmdec_error=sources.pmdec_error,
        epoch=sources.epoch,
        name=name or f"release{release.version}",
        origin=f"release {release.version}",
    )


def _rounded(values: Floats, decimals: int) -> tuple[float, ...]:
    return tuple(round(float(v), decimals) + 0.0 for v in values)
