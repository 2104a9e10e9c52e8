"""One extension of every exposure (AstroDrizzle's ``group``)."""

from __future__ import annotations

from dataclasses import replace

from hapdask.errors import InputError, ParameterError
from hapdask.observe.instruments import instrument_of
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord


def only_group(exposure: ExposureRecord, group: str) -> ExposureRecord:
    """Keep one extension of an exposure, or some.

    Parameters
    ----------
    exposure : ExposureRecord
    group : str
        ``sci,1``, or numbers of extensions in the file with commas between them; extension 0 is
        the primary header.  Empty for all chips.

    Returns
    -------
    ExposureRecord

    Raises
    ------
    ParameterError
        If the text is neither.
    InputError
        If the exposure has no such science extension, or the opened record does not know.

    Notes
    -----
    Where every extension is an exposure of its own (STIS), each is ``sci,1`` and extension 1:
    AstroDrizzle splits such a file before it looks at its extensions.

    Source: `_parse_ext_spec` of DrizzlePac 3.11 (facts; no code).
    """
    words = [word.strip().lower() for word in group.split(",")]
    if not group.strip():
        return exposure
    if len(words) == 2 and words[0].isalpha() and words[1].isdigit():
        if words[0] != "sci":
            raise _no_science(exposure, group)
        wanted = [("sci", int(words[1]))]
    elif all(word.isdigit() for word in words):
        wanted = [("hdu", int(word)) for word in words]
    else:
        raise ParameterError(
            f"group = {group!r}: give an extension's number, or its name and version as in 'sci,1'"
        )
    kept = {_find(exposure, kind, number, group).extver for kind, number in wanted}
    return replace(exposure, chips=tuple(c for c in exposure.chips if c.extver in kept))


def _find(exposure: ExposureRecord, kind: str, number: int, group: str) -> ChipRecord:
    for chip in exposure.chips:
        if instrument_of(exposure.instrument, exposure.detector).imsets_are_exposures:
            own = 1  # as in a file that holds this exposure alone
        else:
            own = chip.extver if kind == "sci" else chip.hdu
        if own == number:
            return chip
    raise _no_science(exposure, group)


def _no_science(exposure: ExposureRecord, group: str) -> InputError:
    chips = ", ".join(
        f"'sci,{chip.extver}'" + (f" (extension {chip.hdu})" if chip.hdu else "")
        for chip in exposure.chips
    )
    return InputError(
        exposure.url,
        f"group = {group!r} is no science extension of this exposure",
        remedy=f"it has {chips}",
    )
