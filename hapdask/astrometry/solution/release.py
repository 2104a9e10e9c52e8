"""What is kept of a joint solution: a version, frozen, as plain data.

Values are rounded to stated quanta before they are hashed, so that the last bits of a processor
name no new version: 0.001 mas for shifts (0.0001 mas at 100 arcsec for the linear parameters),
six digits for covariances, 1e-10 degrees for places of sources, 0.0001 mas / yr.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.solution.geometry import correction_of, design
from hapdask.astrometry.solution.motions import FieldMotion
from hapdask.astrometry.solution.standing import other_wcs, standing_of
from hapdask.errors import StoreError
from hapdask.observe.distortion import Correction
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict

Floats = NDArray[np.float64]
FORMAT = 2
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SolvedExposure:
    """The astrometry of one exposure.

    Attributes
    ----------
    name, visit, detector, geometry : str
    mjd : float
    center : tuple of float, degrees
    parameters : tuple of float, mas
        The six of `hapdask.astrometry.solution.geometry`.
    covariance : tuple of tuple of float, shape (6, 6), mas**2
        Statistical, absolute: in a group tied by headers alone, that of the headers.
    relative : tuple of tuple of float, shape (6, 6), mas**2
        Against the published exposures that were held.
    floor : float, mas
        Systematic error per axis, in no covariance: the detector's, and where the tie is to
        published exposures alone theirs as well, once.
    group : int
        Exposures tied to each other by sources have one number; -1: tied to none.
    tie : {"references", "shared", "published", "header"}
        Its own reference stars; those of others, by common sources; published exposures or their
        sources; nothing.
    detections, used, stars, shared : int
        Sources given; those that the solution rests on, of them reference stars, and those seen by
        other exposures.
    chi_square, freedom : float
    rms : tuple of float, mas
        Of residuals, east and north.
    extra : float, mas
        Error that its residuals show beside the stated errors of its sources; it is in the weights,
        and so in the covariance, but not in ``chi_square``.
    undetermined : tuple of str
        Parameters that rest on the header's prior.
    sources_digest : str
        Hash of what was measured.
    version : int
        The release that it was solved in.
    verdict : Verdict
    """

    name: str
    visit: str
    detector: str
    geometry: str
    mjd: float
    center: tuple[float, float]
    parameters: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    relative: tuple[tuple[float, ...], ...]
    floor: float
    group: int
    tie: str
    detections: int
    used: int
    stars: int
    shared: int
    chi_square: float
    freedom: float
    rms: tuple[float, float]
    extra: float
    undetermined: tuple[str, ...]
    sources_digest: str
    version: int
    verdict: Verdict

    @property
    def correction(self) -> Correction:
        """What `ExposureRecord.corrected` takes."""
        made = correction_of(np.array(self.parameters), self.center)
        m11, m12, m21, m22 = (round(m, 12) + 0.0 for m in made.matrix)
        east, north = (round(s, 9) + 0.0 for s in made.shift)
        return Correction(self.center, (m11, m12, m21, m22), (east, north))

    def error_mas(self, xi: float = 0.0, eta: float = 0.0, *, relative: bool = False) -> float:
        """Statistical error per axis (rms of the two) at a place of the tangent plane, mas.

        Parameters
        ----------
        xi, eta : float, arcsec
        relative : bool
            Against published exposures instead of the sky.
        """
        at = design(np.array([xi]), np.array([eta]))[0]
        covariance = np.array(self.relative if relative else self.covariance)
        return math.sqrt(max(0.5 * float(np.trace(at @ covariance @ at.T)), 0.0))

    def total_error_mas(self, xi: float = 0.0, eta: float = 0.0) -> float:
        """Statistical error and the detector's floor together, mas per axis."""
        return math.hypot(self.error_mas(xi, eta), self.floor)


@dataclass(frozen=True, slots=True)
class SolvedSources:
    """Sources, as columns of equal length.

    Attributes
    ----------
    ra, dec : tuple of float, degrees
        At ``epoch``, without parallax.
    epoch : tuple of float, Julian year
    pmra, pmdec : tuple of float, mas / yr
        pmra with cos(dec).
    ra_error, dec_error : tuple of float, mas
    pmra_error, pmdec_error : tuple of float, mas / yr
    detections : tuple of int
        That the solution rests on.
    kind : tuple of {"star", "galaxy", "reference"}
    """

    ra: tuple[float, ...] = ()
    dec: tuple[float, ...] = ()
    epoch: tuple[float, ...] = ()
    pmra: tuple[float, ...] = ()
    pmdec: tuple[float, ...] = ()
    ra_error: tuple[float, ...] = ()
    dec_error: tuple[float, ...] = ()
    pmra_error: tuple[float, ...] = ()
    pmdec_error: tuple[float, ...] = ()
    detections: tuple[int, ...] = ()
    kind: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ra)

    def take(self, rows: Iterable[int]) -> SolvedSources:
        """Keep some rows."""
        rows = list(rows)
        return SolvedSources(
            **{f.name: tuple(getattr(self, f.name)[r] for r in rows) for f in fields(self)}
        )

    def __add__(self, other: SolvedSources) -> SolvedSources:
        return SolvedSources(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


@dataclass(frozen=True, repr=False)
class Release:
    """A version of the astrometry of a region.

    Attributes
    ----------
    version : int
    parent : str
        Digest of the release whose exposures were held; empty for a full solution.
    parameters : mapping
        Of `JointParameters`.
    exposures : tuple of SolvedExposure
        By time and name.
    sources : SolvedSources
        By right ascension.
    chi_square, freedom : float
        Of what was solved in this version.
    notes : tuple of str
    motions : tuple of FieldMotion
        How the fields' stars move together, as far as stars of measured motion tell it.
    """

    version: int
    parent: str
    parameters: Mapping[str, Any]
    exposures: tuple[SolvedExposure, ...]
    sources: SolvedSources
    chi_square: float
    freedom: float
    notes: tuple[str, ...] = ()
    motions: tuple[FieldMotion, ...] = ()

    def __getitem__(self, name: str) -> SolvedExposure:
        """Return an exposure; KeyError if there is none."""
        return self._named[name]

    def __contains__(self, name: str) -> bool:
        return name in self._named

    @cached_property
    def _named(self) -> dict[str, SolvedExposure]:
        return {e.name: e for e in self.exposures}

    def __repr__(self) -> str:
        lines = [
            f"<Release {self.version}: {len(self.exposures)} exposures, {len(self.sources)} "
            f"sources, chi-square {self.chi_square:.6g} of {self.freedom:.6g}; errors in mas"
        ]
        lines += [
            f"  {e.name} ({e.tie}, {e.used} sources, {e.stars} reference stars)  "
            f"{e.error_mas():.3g} and floor {e.floor:.3g}"
            for e in self.exposures[:_SHOWN]
        ]
        lines += [f"  ... and {len(self.exposures) - _SHOWN} more"] * (len(self.exposures) > _SHOWN)
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)]) + ">"

    def apply(self, records: Iterable[ExposureRecord]) -> tuple[ExposureRecord, ...]:
        """Correct records as opened; those that the release does not have stay as they are.

        One that was opened with the WCS of the release stays too, and one with any other WCS than
        that which was solved, with a warning in its verdict.
        """
        return tuple(
            self._applied(record, self[record.name]) if record.name in self else record
            for record in records
        )

    def _applied(self, record: ExposureRecord, solved: SolvedExposure) -> ExposureRecord:
        told = [solved.verdict.reason]
        if solved.verdict.status != "rejected":
            standing = standing_of(record, solved)
            if standing.wcs == "start":
                record = record.corrected(solved.correction)
            elif standing.wcs == "other":
                told.append(other_wcs(record, standing, self.version))
        for reason in filter(None, told):
            record = record.with_verdict(record.verdict.warned(reason))
        return record

    @cached_property
    def digest(self) -> str:
        """Hash of the content."""
        text = json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON; `from_dict` gives back an equal release."""
        return {
            "format": FORMAT,
            "version": self.version,
            "parent": self.parent,
            "parameters": dict(self.parameters),
            "exposures": [asdict(e) for e in self.exposures],
            "sources": {k: list(v) for k, v in asdict(self.sources).items()},
            "chi_square": self.chi_square,
            "freedom": self.freedom,
            "notes": list(self.notes),
            "motions": [asdict(m) for m in self.motions],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Release:
        """Rebuild the release that `to_dict` was called on.

        Raises
        ------
        StoreError
            If the data are no such release.
        """
        try:
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']!r}")
            sources = SolvedSources(**{k: tuple(v) for k, v in data["sources"].items()})
            lengths = {len(getattr(sources, f.name)) for f in fields(sources)}
            if len(lengths) != 1:
                raise ValueError("columns of sources of unequal lengths")
            return cls(
                version=int(data["version"]),
                parent=str(data["parent"]),
                parameters=dict(data["parameters"]),
                exposures=tuple(_exposure(e) for e in data["exposures"]),
                sources=sources,
                chi_square=float(data["chi_square"]),
                freedom=float(data["freedom"]),
                notes=tuple(data["notes"]),
                motions=tuple(FieldMotion(**m) for m in data["motions"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"the data are not an astrometric release of format {FORMAT}: {error!r}"
            ) from error


def _exposure(data: Mapping[str, Any]) -> SolvedExposure:
    changed = {name: tuple(data[name]) for name in ("center", "parameters", "rms", "undetermined")}
    changed |= {name: tuple(tuple(r) for r in data[name]) for name in ("covariance", "relative")}
    made = SolvedExposure(**(dict(data) | changed | {"verdict": Verdict(**data["verdict"])}))
    shapes = (np.shape(made.parameters), np.shape(made.covariance), np.shape(made.relative))
    if shapes != ((6,), (6, 6), (6, 6)) or len(made.center) != 2:
        raise ValueError(f"{made.name}: parameters of shape {shapes}")
    return made
