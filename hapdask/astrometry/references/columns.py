"""Which column of a table is what, and in which units: a table of names, and the conversion.

Names are compared without case, punctuation and bracketed units: ``e_RA_ICRS`` is ``eraicrs`` and
``ra [deg]`` is ``ra``.  Of several names of a field the first in its list wins.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hapdask.astrometry.references.catalog import UNITS
from hapdask.astrometry.references.epochs import year_of_text
from hapdask.errors import InputError, ParameterError

if TYPE_CHECKING:
    from astropy.table import Column

FloatArray = npt.NDArray[np.float64]

_NAMES = {
    "ra": "ra raicrs radeg ramean rastack raep2000 raepoch2000 raj2000 alphaj2000 "
    "alphawinj2000 alpha rightascension xworld",
    "dec": "dec deicrs decicrs decdeg dedeg decmean decstack dej2000 decj2000 deltaj2000 "
    "deltawinj2000 delta declination deep2000 decep2000 decepoch2000 de yworld",
    "ra_error": "raerror raerr rameanerr rastackerr eraicrs eraj2000 era raerrormas errmaj",
    "dec_error": "decerror decerr decmeanerr decstackerr edeicrs edej2000 ede edec decerrormas "
    "errmin errmaj",
    "pmra": "pmra rapm pmracosdec pmrastar muracosdec",
    "pmdec": "pmdec decpm pmde mudec",
    "pmra_error": "pmraerror pmraerr rapmerr epmra",
    "pmdec_error": "pmdecerror pmdecerr decpmerr epmde epmdec",
    "parallax": "parallax plx",
    "parallax_error": "parallaxerror parallaxerr eplx",
    "epoch": "epoch refepoch obsepoch epochmean jdate epochyr mjd jd",
    "mag": "mag photgmeanmag gmag photgmean imeanpsfmag rmeanpsfmag gmeanpsfmag jm jmag kmag vmag "
    "magauto magnitude",
    "id": "objid sourceid id source designation starid objectid gsc2id name",
}
#: Names of each field, reduced: Gaia, GSC, 2MASS, Pan-STARRS, VizieR's, SExtractor's, plain ones.
ALIASES: Mapping[str, tuple[str, ...]] = {
    field: tuple(names.split()) for field, names in _NAMES.items()
}

#: Units of a field whose column tells none.
USUAL_UNITS: Mapping[str, str] = {k: v for k, v in UNITS.items() if k not in ("epoch", "mag")}
#: Columns whose catalog has its own: Pan-STARRS' and 2MASS' errors are arcseconds.
_UNITS_OF_NAMES = dict.fromkeys(
    ("rameanerr", "decmeanerr", "rastackerr", "decstackerr", "errmaj", "errmin"), "arcsec"
)
_WORDS = {
    "deg": "deg",
    "degree": "deg",
    "degrees": "deg",
    "radian": "rad",
    "radians": "rad",
    "h": "hourangle",
    "hr": "hourangle",
    "hour": "hourangle",
    "hours": "hourangle",
    "arcsecond": "arcsec",
    "arcseconds": "arcsec",
    "milliarcsec": "mas",
    "milliarcsecond": "mas",
    "milliarcseconds": "mas",
    "mas/year": "mas / yr",
    "arcsec/year": "arcsec / yr",
}
_BRACKETED = re.compile(r"[\[(]([^\])]*)[\])]")
#: As 10:00:01.3, 10 00 01.3 and 10h00m01.3s; with a minus or plus.
_SEXAGESIMAL = re.compile(r"[-+]?\d+\s*[:hd\s]\s*\d")
_UNKNOWN = frozenset(("", "null", "none", "nan", "n/a", "na", "-", "--", "\\n"))


def reduced(name: str) -> str:
    """Reduce a column's name to what names are compared by."""
    return re.sub(r"[^a-z0-9]", "", _BRACKETED.sub("", name).lower())


def recognise(
    names: Iterable[str], given: Mapping[str, str] | None = None, path: str = "table"
) -> dict[str, str]:
    """Tell which columns hold which fields.

    Parameters
    ----------
    names : iterable of str
        The table's columns.
    given : mapping, optional
        Field to column, where the user says so: ``{"ra": "ALPHA"}``.
    path : str
        The table, for messages.

    Returns
    -------
    dict
        Field to column; at least ``ra`` and ``dec``.

    Raises
    ------
    InputError
        No column is the right ascension or the declination, or a given one is not there.
    ParameterError
        A field that does not exist.

    Examples
    --------
    >>> recognise(["RA_ICRS", "DE_ICRS", "e_RA_ICRS", "Gmag"])["ra_error"]
    'e_RA_ICRS'
    """
    names, found = list(names), {}
    short: dict[str, str] = {}
    for name in names:
        short.setdefault(reduced(name), name)
    for field, aliases in ALIASES.items():
        column = next((short[alias] for alias in aliases if alias in short), None)
        if column is not None:
            found[field] = column
    for field, column in (given or {}).items():
        check_field(field)
        if column not in names:
            raise InputError(path, f"has no column {column!r}; it has {_listed(names)}")
        found[field] = column
    for field, words in (("ra", "right ascension"), ("dec", "declination")):
        if field not in found:
            raise InputError(
                path,
                f"no column is recognised as the {words}; it has {_listed(names)}",
                remedy=f"name it: columns={{{field!r}: ...}}",
            )
    return found


def check_field(field: str) -> None:
    """Refuse a field that a catalog does not have.

    Raises
    ------
    ParameterError
        With the nearest name.
    """
    if field not in ALIASES:
        near = difflib.get_close_matches(field, ALIASES, n=1)
        hint = f": did you mean {near[0]!r}?" if near else f", only {', '.join(ALIASES)}"
        raise ParameterError(f"a reference catalog has no field {field!r}{hint}")


def numbers(field: str, column: Column, units: str | None, path: str) -> FloatArray:
    """Read a column as numbers in the units of its field; NaN where it has none.

    Parameters
    ----------
    field : str
    column : astropy Column
        Of numbers, or of text: sexagesimal angles are hours for the right ascension.
    units : str, optional
        The user's word; else the column's own, its name's, the field's usual ones.
    path : str
        The table, for messages.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    InputError
        Units that are not those of such a field.
    """
    values = np.ma.asarray(column)
    if values.ndim != 1:
        raise InputError(path, f"column {column.name!r} has {values.ndim} dimensions, not one")
    if values.dtype.kind in "SUO":
        text = [_text(value) for value in values.tolist()]
        if field in ("ra", "dec") and any(_SEXAGESIMAL.match(value) for value in text):
            return _sexagesimal(field, text)
        read = year_of_text if field == "epoch" else _number
        data = np.array([read(value) for value in text], dtype=np.float64)
    else:
        data = np.ma.filled(values.astype(np.float64), np.nan)
    return data * _factor(field, column, units, path)


def text(column: Column) -> npt.NDArray[np.str_]:
    """Read a column as text: the names of stars; empty where it has none."""
    return np.array([_text(value) for value in np.ma.asarray(column).tolist()], dtype=np.str_)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()


def _number(value: str) -> float:
    if value.lower() in _UNKNOWN:
        return np.nan
    try:
        return float(value)
    except ValueError:
        return np.nan


def _sexagesimal(field: str, values: list[str]) -> FloatArray:
    from astropy.coordinates import Angle

    unit = "hourangle" if field == "ra" else "deg"
    try:
        return np.asarray(Angle(values, unit=unit).deg, dtype=np.float64)
    except ValueError:  # one of them is none: one by one
        pass
    out = np.full(len(values), np.nan)
    for i, value in enumerate(values):
        try:
            out[i] = Angle(value, unit=unit).deg
        except ValueError:  # stays unknown, and its row is dropped with a word
            continue
    return out


def _factor(field: str, column: Column, given: str | None, path: str) -> float:
    """Units of a field in one unit of its column."""
    from astropy import units as u

    if field not in USUAL_UNITS:
        return 1.0
    bracketed = _BRACKETED.search(column.name)
    told = (
        given
        or (str(column.unit) if column.unit else "")
        or (bracketed.group(1).strip() if bracketed else "")
        or _UNITS_OF_NAMES.get(reduced(column.name), USUAL_UNITS[field])
    )
    try:
        unit = u.Unit(_WORDS.get(told.lower(), told))
        return float(unit.to(u.Unit(USUAL_UNITS[field])))
    except (ValueError, TypeError) as error:  # includes UnitConversionError
        raise InputError(
            path,
            f"column {column.name!r} is in {told!r}, but {field} is in {USUAL_UNITS[field]!r}",
            remedy=f"say what it is: units={{{field!r}: ...}}, or name another column",
        ) from error


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "none"
