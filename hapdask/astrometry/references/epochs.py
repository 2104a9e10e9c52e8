"""Of which date the positions of a table are: epochs in any form, and in the names of columns.

Not here: which columns a table has (`columns`), what is assumed of catalogs (`standard`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from hapdask.astrometry.references.motion import julian_year

FloatArray = npt.NDArray[np.float64]

_FIRST_YEAR, _LAST_YEAR = 1850.0, 2150.0
#: Names of right ascensions, reduced, that say their epoch.
_AT_2000 = ("raep2000", "raepoch2000")
#: Those that say their equinox alone: with motions beside them they were moved to that date.
_EQUINOX_2000 = ("raj2000", "alphaj2000")


def as_years(epochs: npt.ArrayLike) -> FloatArray:
    """Julian years of epochs given as Julian Date, Modified Julian Date or year.

    Above 2400000 it is a JD, above 10000 an MJD, else a year; NaN beyond 1850 to 2150.

    Examples
    --------
    >>> as_years([2457389.0, 57388.5, 2016.0, 0.0]).tolist()
    [2016.0, 2016.0, 2016.0, nan]
    """
    values = np.asarray(epochs, dtype=np.float64)
    mjd = np.where(values > 2400000.0, values - 2400000.5, values)
    years = np.where(values > 10000.0, julian_year(mjd), values)
    return np.where((years >= _FIRST_YEAR) & (years <= _LAST_YEAR), years, np.nan)


def year_of_text(text: str) -> float:
    """Julian year of an epoch as J2016.0, B1950, 2016.0, 57388.5 or 2015-07-02; NaN if it is none.

    Examples
    --------
    >>> round(year_of_text("2015-07-02T12:00:00"), 3)
    2015.499
    """
    try:
        return float(text[1:] if text[:1] in ("J", "B") else text)
    except ValueError:
        pass
    if text[4:5] != "-":
        return float("nan")
    from astropy.time import Time

    try:
        return float(Time(text, scale="utc").jyear)
    except ValueError:
        return float("nan")


def epoch_of_columns(ra: str, fields: Collection[str]) -> float | None:
    """Epoch that a table without one tells by the name of its right ascensions; None where none.

    Parameters
    ----------
    ra : str
        The column's name, reduced.
    fields : collection of str
        Fields that the table has.

    Notes
    -----
    VizieR and the catalogs made from plates (UCAC, PPMXL) give positions moved to 2000.0 as
    RAJ2000, with the motions that were used.  Without motions it says nothing of the epoch:
    2MASS and SExtractor name by their equinox what stands at the date of observation.
    """
    moved = ra in _EQUINOX_2000 and {"pmra", "pmdec"} <= set(fields)
    return 2000.0 if moved or ra in _AT_2000 else None
