"""Another of their WCSs for exposures that are open already (AstroDrizzle's ``wcskey``).

A record carries one WCS, so the headers are read again.  Not here: the choice of a WCS when files
are opened (`hapdask.observe.solutions`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hapdask.errors import InputError, ParameterError
from hapdask.observe.chips import TableCache
from hapdask.observe.inputs.entry import Input
from hapdask.observe.opening import open_exposure
from hapdask.observe.record import ExposureRecord
from hapdask.observe.solutions.choose import Solutions


def with_wcs(
    exposures: Sequence[ExposureRecord], wcskey: str, inputs: Iterable[Input] = ()
) -> tuple[ExposureRecord, ...]:
    """Give exposures another WCS of their files; headers are read, nothing is written.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
    wcskey : str
        The key of an alternate WCS (one letter), or a WCSNAME or HDRNAME; empty for the WCS that
        they have.
    inputs : iterable of Input, optional
        What the lists that named the files say (`Exposures.inputs`).

    Returns
    -------
    tuple of ExposureRecord
        With the masks, maps, sky and figures that they had.

    Raises
    ------
    InputError
        If a file has no such WCS, or is not the one that was opened.
    ParameterError
        If an exposure has been aligned: an alignment is that of one WCS.
    """
    if not wcskey:
        return tuple(exposures)
    aligned = next((e for e in exposures if e.correction is not None), None)
    if aligned is not None:
        raise ParameterError(
            f"wcskey = {wcskey!r}, but {aligned.name} has been aligned, on another WCS: open the "
            f"exposures with open_exposures(..., wcs={wcskey!r}), then align them, and leave "
            "wcskey out"
        )
    apertures = {entry.url: {"APERTURE": entry.aperture} for entry in inputs if entry.aperture}
    solutions, cache, read = Solutions(wcskey), TableCache(), {}
    for url in dict.fromkeys(exposure.url for exposure in exposures):
        found = open_exposure(url, cache, solutions, apertures.get(url, {}), select=False)
        read[url] = {each.name: each for each in found if isinstance(each, ExposureRecord)}
    return tuple(_with_wcs_of(exposure, read[exposure.url]) for exposure in exposures)


def _with_wcs_of(exposure: ExposureRecord, found: Mapping[str, ExposureRecord]) -> ExposureRecord:
    """Take over what belongs to the WCS from the exposure as it has been read again."""
    again = found.get(exposure.name)
    if again is None or again.identity != exposure.identity:
        raise InputError(
            exposure.url,
            "is not the file that was opened: it has changed since",
            remedy="open the exposures again",
        )
    chips = []
    for chip in exposure.chips:
        new = again.chip(chip.extver)
        chips.append(
            replace(chip, distortion=new.distortion, idcscale=new.idcscale, keywords=new.keywords)
        )
    return replace(exposure, chips=tuple(chips), wcsname=again.wcsname, keywords=again.keywords)
