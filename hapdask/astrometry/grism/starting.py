"""The WCSs of files that dispersed and direct exposures may start from.

Headers are read, nothing is written.  Not here: which one is chosen (`names`, `carrying`).
"""

from __future__ import annotations

from collections.abc import Iterable

from hapdask.astrometry.grism.names import basis_of
from hapdask.observe.adjusting.alternate import with_wcs
from hapdask.observe.fits import scan
from hapdask.observe.record import ExposureRecord
from hapdask.observe.solutions.choose import solution_names


def wcs_names(record: ExposureRecord) -> tuple[str, ...]:
    """List the names of all WCSs in the file of an exposure; InputError if it cannot be read."""
    return solution_names(scan(record.url))


def starts_of(record: ExposureRecord, bases: Iterable[str]) -> tuple[ExposureRecord, ...]:
    """Open an exposure with each of its WCSs that others start from.

    Parameters
    ----------
    record : ExposureRecord
        As it was opened, without a correction.
    bases : iterable of str
        See `basis_of`; of the WCSs of the dispersed exposures.

    Returns
    -------
    tuple of ExposureRecord
        The record itself, then one for each basis that another WCS of its file has.

    Raises
    ------
    InputError
        If the file cannot be read, or is not the one that was opened.
    ParameterError
        If the exposure has been aligned.
    """
    found = {basis_of(record.wcsname): record}
    wanted = set(bases)
    for name in wcs_names(record):
        basis = basis_of(name)
        if basis in wanted and basis not in found:
            (found[basis],) = with_wcs([record], name)
    return tuple(found.values())
