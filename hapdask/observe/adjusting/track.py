"""The track of a moving target: its positions on the sky at some times, and between them.

`read_track` makes one of a file or a table.  Not here: what is done with it (`moving`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError, ParameterError
from hapdask.sky.tangent import sky_of, unit_vectors

if TYPE_CHECKING:
    from astropy.table import Table
    from scipy.interpolate import CubicSpline

Floats = NDArray[np.float64]

_TIMES = ("mjd", "time", "isot", "date", "date-obs", "date_obs", "datetime")
_RAS = ("ra", "right_ascension")
_DECS = ("dec", "declination")
_COLUMNS = "give columns of time (mjd, or isot as in 2009-07-23T10:11:12), ra and dec (degrees)"
_FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".fit": "fits"}


@dataclass(frozen=True, eq=False)
class Track:
    """Positions of a target, as they are seen from the telescope.

    Attributes
    ----------
    mjd : ndarray of float64, shape (n,)
        UTC, growing; at least two.
    ra, dec : ndarray of float64, shape (n,)
        ICRS degrees.

    Raises
    ------
    ParameterError
        If they are not that.
    """

    mjd: Floats
    ra: Floats
    dec: Floats

    def __post_init__(self) -> None:
        for name in ("mjd", "ra", "dec"):
            object.__setattr__(self, name, np.array(getattr(self, name), np.float64).ravel())
        if len({self.mjd.size, self.ra.size, self.dec.size}) > 1:
            raise ParameterError("track: its columns have different lengths")
        if self.mjd.size < 2:
            raise ParameterError(f"track: {self.mjd.size} positions; it needs two at least")
        for name in ("mjd", "ra", "dec"):
            bad = np.flatnonzero(~np.isfinite(getattr(self, name)))
            if bad.size:
                raise ParameterError(f"track: row {bad[0] + 1} has no finite {name}")
        if (np.abs(self.dec) > 90.0).any():
            raise ParameterError(f"track: {np.abs(self.dec).max():g} degrees is no declination")
        back = np.flatnonzero(np.diff(self.mjd) <= 0)
        if back.size:
            raise ParameterError(
                f"track: row {back[0] + 2} is not later than the one before it: sort it by time"
            )
        if (self.mjd[0] < 0.0) or (self.mjd[-1] > 1e5):
            raise ParameterError(
                f"track: times from {self.mjd[0]:g} to {self.mjd[-1]:g} are no MJD (a Julian date "
                "less 2400000.5)"
            )

    @cached_property
    def _spline(self) -> CubicSpline:
        from scipy.interpolate import CubicSpline

        return CubicSpline(self.mjd, unit_vectors(self.ra, self.dec), axis=0)

    def at(self, mjd: float) -> Floats:
        """Direction of the target at a time.

        Parameters
        ----------
        mjd : float

        Returns
        -------
        ndarray of float64, shape (3,)
            A unit vector: a cubic spline through those of the table (a parabola through three, a
            line through two), so right ascension 0 and the poles are places as any other.

        Raises
        ------
        ParameterError
            If the track does not reach there.
        """
        if not self.mjd[0] <= mjd <= self.mjd[-1]:
            raise ParameterError(
                f"MJD {mjd:.6f} is outside the track, which reaches from {self.mjd[0]:.6f} to "
                f"{self.mjd[-1]:.6f}"
            )
        vector = np.asarray(self._spline(mjd), np.float64)
        return vector / np.linalg.norm(vector)

    def sky_at(self, mjd: float) -> tuple[float, float]:
        """Position of the target at a time, ICRS degrees; see `at`."""
        ra, dec = sky_of(self.at(mjd))
        return float(ra), float(dec)


def read_track(track: object) -> Track:
    """Make a track of what a user gives.

    Parameters
    ----------
    track : Track, str, path-like, Table, or mapping of columns
        A file (.ecsv, .csv, .fits), or its table: a column of time, ``mjd`` in days or ``time`` as
        text (2009-07-23T10:11:12) or Time, and ``ra`` and ``dec`` in degrees, ICRS, or with a
        unit.

    Returns
    -------
    Track

    Raises
    ------
    InputError
        If a file cannot be read, or is no track.
    ParameterError
        If a table in memory is none.
    """
    if isinstance(track, Track):
        return track
    if not isinstance(track, str | os.PathLike):
        return _of_table(_as_table(track))
    path = os.fspath(track)
    try:
        return _of_table(_read(path))
    except ParameterError as error:
        raise InputError(path, str(error).removeprefix("track: "), remedy=_COLUMNS) from error


def _read(path: str) -> Table:
    from astropy.table import Table

    ending = os.path.splitext(path.removesuffix(".gz"))[1].lower()
    if ending not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise InputError(
            path, "is no table of a known kind", remedy=f"its name must end in {known}"
        )
    try:
        return Table.read(path, format=_FORMATS[ending])
    except (OSError, ValueError, TypeError, IndexError, KeyError) as error:
        raise InputError(path, f"no table can be read: {error}", remedy=_COLUMNS) from error


def _as_table(given: object) -> Table:
    from astropy.table import Table

    if isinstance(given, Table):
        return given
    if not isinstance(given, Mapping):
        raise ParameterError(f"track: {type(given).__name__} is neither a file nor a table")
    try:
        return Table(dict(given))
    except (ValueError, TypeError) as error:
        raise ParameterError(f"track: no table: {error}") from error


def _of_table(table: Table) -> Track:
    return Track(
        _times(_column(table, _TIMES, "time")),
        _degrees(_column(table, _RAS, "ra"), "ra"),
        _degrees(_column(table, _DECS, "dec"), "dec"),
    )


def _column(table: Table, names: tuple[str, ...], what: str) -> Any:
    found = [name for name in table.colnames if name.strip().lower() in names]
    if len(found) != 1:
        problem = f"columns {' and '.join(found)} both" if found else "no column"
        raise ParameterError(
            f"track: {problem} of {what}; it has {', '.join(table.colnames)}. {_COLUMNS}"
        )
    return table[found[0]]


def _times(column: Any) -> Floats:
    """MJD, UTC, of a column of numbers, texts or Time."""
    from astropy.time import Time

    if isinstance(column, Time):
        return np.asarray(column.utc.mjd, np.float64)
    if np.asarray(column).dtype.kind not in "SUO":
        return _filled(column)
    try:
        return np.asarray(Time([str(text).strip() for text in column], scale="utc").mjd, np.float64)
    except ValueError as error:
        raise ParameterError(f"track: a time cannot be read: {error}") from error


def _degrees(column: Any, what: str) -> Floats:
    from astropy import units

    unit = getattr(column, "unit", None)
    if np.asarray(column).dtype.kind not in "fiu":
        raise ParameterError(f"track: {what} must be in degrees, not {str(column[0])!r}")
    if unit is None:
        return _filled(column)
    try:
        return _filled(column) * float(units.Unit(unit).to(units.deg))
    except (units.UnitConversionError, ValueError, TypeError) as error:
        raise ParameterError(f"track: {what} in {unit}: give degrees") from error


def _filled(column: Any) -> Floats:
    """Numbers of a column, NaN where they are masked."""
    values = np.ma.asarray(getattr(column, "value", column), np.float64)
    return np.asarray(np.ma.filled(values, np.nan), np.float64)
