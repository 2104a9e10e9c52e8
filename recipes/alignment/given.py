"""Source lists and exclusions that users give in files, as TweakReg takes them.

``catfile`` and ``exclusions`` have a line for each exposure: its file or rootname, then one file
for each SCI extension.  Not here: masks (`hapdask.observe.masking`), reference catalogs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.references.tables import read_table
from hapdask.astrometry.sources import SourceList
from hapdask.config.fields import is_blank
from hapdask.config.tweakreg import SourceOptions
from hapdask.errors import InputError, ParameterError
from hapdask.observe.inverse import sky_to_pixel
from hapdask.observe.masking.sources import MaskSource, list_sources
from hapdask.observe.record import ExposureRecord

if TYPE_CHECKING:
    from astropy.table import Table

Floats = NDArray[np.float64]

#: Taken for the error of a position where a list tells none, pixels.
ASSUMED_ERROR = 0.05
#: So many positions whose scatter is less than so many pixels are no pixels.
_MANY, _TOGETHER = 5, 5.0


def read_exclusions(path: str, exposures: Sequence[ExposureRecord]) -> tuple[MaskSource, ...]:
    """Read TweakReg's file of exclusions, or DS9 regions for all exposures.

    Parameters
    ----------
    path : str
        Empty for none; a name that ends with ``.reg`` is of regions, anything else is a file with
        a line for each exposure.
    exposures : sequence of ExposureRecord

    Raises
    ------
    InputError
        If it cannot be read, or names more files than an exposure has chips.
    """
    if not path:
        return ()
    if path.lower().endswith(".reg"):
        return tuple(list_sources(path))
    found = []
    for exposure, files in _lines(path, exposures):
        for chip, file in zip(exposure.chips, files, strict=False):
            if not is_blank(file):
                source = MaskSource(
                    _beside(path, file), exposures=(exposure.name,), extver=chip.extver
                )
                found += list_sources(source)
    return tuple(found)


def read_given(
    exposures: Sequence[ExposureRecord], sources: Mapping[str, object], options: SourceOptions
) -> dict[str, SourceList]:
    """Read the source lists that a user gives.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
    sources : mapping of str to SourceList, table, path or sequence of these
        By rootname; one of a sequence for each SCI extension.  What is for other exposures is
        passed over, but not all of it.
    options : SourceOptions
        Columns, units and limits; its ``catfile`` names more.

    Returns
    -------
    dict of str to SourceList

    Raises
    ------
    InputError
        If a list cannot be read.
    ParameterError
        If none is for one of the exposures.
    """
    named = {name.lower(): given for name, given in sources.items()}
    found: dict[str, SourceList] = {}
    for exposure in exposures:
        if exposure.name in named:
            given = named[exposure.name]
            parts = list(given) if isinstance(given, list | tuple) else [given]
            found[exposure.name] = _source_list(exposure, parts, options)
    if named and not found:
        raise ParameterError(
            f"sources are given for {', '.join(sources)}, which are no exposures of this alignment"
        )
    if options.catfile:
        for exposure, files in _lines(options.catfile, exposures):
            paths = [None if is_blank(f) else _beside(options.catfile, f) for f in files]
            found.setdefault(exposure.name, _source_list(exposure, paths, options))
    return found


def _lines(
    path: str, exposures: Sequence[ExposureRecord]
) -> list[tuple[ExposureRecord, list[str]]]:
    """Give the files that stand behind each exposure; what is for none is passed over."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read: {error}", remedy="check the path") from error
    known = {os.path.basename(e.url).lower(): e for e in exposures} | {e.name: e for e in exposures}
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        exposure = known.get(os.path.basename(words[0]).lower())
        if exposure is None:
            continue
        if len(words) - 1 > len(exposure.chips):
            raise InputError(
                path,
                f"line {number} names {len(words) - 1} files for the {len(exposure.chips)} chips "
                f"of {exposure.name}",
                remedy="give one for each SCI extension, None for a chip without",
            )
        found[exposure.name] = words[1:]
    if not found:
        raise InputError(
            path,
            "no line of it is for one of the exposures",
            remedy="begin each line with the file or rootname of an exposure",
        )
    return [(e, found[e.name]) for e in exposures if e.name in found]


def _beside(path: str, file: str) -> str:
    """Find a file that another one names: from here, else from where that one lies."""
    if os.path.isabs(file) or os.path.exists(file):
        return file
    return os.path.join(os.path.dirname(path), file)


def _source_list(
    exposure: ExposureRecord, parts: Sequence[object], options: SourceOptions
) -> SourceList:
    """Put the lists of an exposure's chips together."""
    if len(parts) == 1 and isinstance(parts[0], SourceList):
        return parts[0]
    whole = len(parts) == 1 and len(exposure.chips) > 1
    lists = []
    for chip, part in zip(exposure.chips, parts, strict=False):
        if part is None:
            continue
        table, name = _table(part, exposure.name)
        extver = None if whole else chip.extver
        lists.append(_read_list(exposure, table, extver, options, name))
    if not lists:
        return SourceList.empty(exposure.name)
    return _limited(SourceList.joined(exposure.name, lists), options)


def _table(part: object, name: str) -> tuple[Table, str]:
    from astropy.table import Table

    if isinstance(part, str | os.PathLike):
        return read_table(os.fspath(part)), os.fspath(part)
    try:
        return Table(part), f"source list of {name}"
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"source list of {name}", f"this is no table: {error}") from error


def _read_list(
    exposure: ExposureRecord,
    table: Table,
    extver: int | None,
    options: SourceOptions,
    name: str,
) -> SourceList:
    """Read the sources of one chip, or of all where positions or a column tell the chip."""
    first, second = (_column(table, c, name) for c in (options.xcol, options.ycol))
    lower = {each.lower(): each for each in table.colnames}
    if options.xyunits == "degrees":
        chips, x, y = _on_chips(exposure, first, second, extver)
    else:
        x, y = first - 1.0, second - 1.0
        _refuse_degrees(x, y, name)
        if extver is None and "extver" not in lower:
            raise InputError(
                name,
                f"one list in pixels for the {len(exposure.chips)} chips of {exposure.name}",
                remedy="give one list for each, a column extver, or xyunits = degrees",
            )
        chips = (
            np.full(len(x), extver)
            if extver is not None
            else _numbers(table[lower["extver"]], name).astype(np.int64)
        )
    flux = _column(table, options.fluxcol, name) if options.fluxcol else np.full(len(x), np.nan)
    if options.fluxunits == "mag":
        flux = 10.0 ** (-0.4 * flux)
    error = np.full(len(x), ASSUMED_ERROR)
    if "error" in lower:
        error = _numbers(table[lower["error"]], name)
    known = np.isin(chips, [c.extver for c in exposure.chips]) & np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise InputError(
            name,
            f"none of its {len(x)} positions lies on {exposure.name}",
            remedy="check xcol, ycol and xyunits",
        )
    made = SourceList(
        exposure.name,
        chips,
        x,
        y,
        error,
        flux,
        np.full(len(x), np.nan),
        np.zeros(len(x), np.uint16),
        float("nan"),
    )
    return made.take(known)


def _refuse_degrees(x: Floats, y: Floats, name: str) -> None:
    """Refuse a list whose pixels all lie together: they are positions on the sky."""
    many = len(x) >= _MANY
    if many and float(np.nanmax([np.nanstd(x), np.nanstd(y)], initial=0.0)) < _TOGETHER:
        raise InputError(
            name,
            f"its {len(x)} positions lie within {_TOGETHER:g} pixels of each other",
            remedy="set xyunits = degrees if they are RA and Dec; else check xcol and ycol",
        )


def _limited(found: SourceList, options: SourceOptions) -> SourceList:
    """Keep the sources within the limits of flux, and the brightest of them."""
    low, high = options.minflux, options.maxflux
    if options.fluxunits == "mag":  # the bright limit of magnitudes is the small one
        bounds = (10.0 ** (-0.4 * m) if m is not None else None for m in (low, high))
        low, high = bounds
    keep = np.ones(len(found), bool)
    with np.errstate(invalid="ignore"):
        if low is not None:
            keep &= found.flux >= low
        if high is not None:
            keep &= found.flux <= high
    found = found.take(keep)
    if options.nbright is None or len(found) <= options.nbright:
        return found
    flux = np.where(np.isfinite(found.flux), found.flux, -np.inf)
    brightest = np.argsort(-flux, kind="stable")[: options.nbright]
    return found.take(np.sort(brightest))


def _column(table: Table, which: str, name: str) -> Floats:
    """Take a column by its number from 1, its name, or ``c<number>``."""
    names = list(table.colnames)
    lower = {each.lower(): each for each in names}
    number = which[1:] if which[:1].lower() == "c" and which.lower() not in lower else which
    if number.isdecimal() and 1 <= int(number) <= len(names):
        return _numbers(table[names[int(number) - 1]], name)
    if which.lower() in lower:
        return _numbers(table[lower[which.lower()]], name)
    raise InputError(
        name, f"there is no column {which!r}", remedy=f"its columns are {', '.join(names)}"
    )


def _numbers(column: object, name: str) -> Floats:
    """Give numbers, NaN where there is none; sexagesimal positions are refused with a word."""
    values: Any = np.ma.asarray(column)
    try:
        return np.asarray(np.ma.filled(values.astype(np.float64), np.nan))
    except (TypeError, ValueError) as error:
        raise InputError(name, f"a column holds what is no number: {error}") from error


def _on_chips(
    exposure: ExposureRecord, ra: Floats, dec: Floats, extver: int | None
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Find the chip and the pixel of sky positions; chip 0 for those on none."""
    chips = np.zeros(len(ra), np.int64)
    x, y = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    for chip in exposure.chips:
        if extver is not None and chip.extver != extver:
            continue
        px, py = sky_to_pixel(chip.distortion, ra, dec)
        ny, nx = chip.shape
        on = (px > -0.5) & (px < nx - 0.5) & (py > -0.5) & (py < ny - 0.5)
        chips[on], x[on], y[on] = chip.extver, px[on], py[on]
    return chips, x, y
