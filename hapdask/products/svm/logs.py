"""Texts that go with a visit's files: the list of all of them, and the log of each product.

A log tells how its product was made: the exposures and their verdicts, parameters and where each
came from, what was done and what was not.  Not here: files.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hapdask.astrometry.headers.ties import tie_of
from hapdask.observe.record import ExposureRecord
from hapdask.products.told import Told


@dataclass(frozen=True, kw_only=True)
class Log:
    """What a log tells.

    Attributes
    ----------
    product : str
        File name.
    records : tuple of ExposureRecord
        As they are in the product.
    parameters : Told or None
        None for an exposure that is aligned and not drizzled.
    date : datetime or date
        Of the making.
    software : str
    attempts : mapping of str to sequence of str
        What was tried to align each exposure, one line each.
    notes : tuple of str
    """

    product: str
    records: tuple[ExposureRecord, ...]
    date: datetime.date
    software: str
    parameters: Told | None = None
    attempts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def manifest_text(names: Iterable[str]) -> str:
    r"""List the files of a visit, one a line, each once, in the order given.

    Examples
    --------
    >>> manifest_text(["a_drc.fits", "a_trl.txt", "a_drc.fits"])
    'a_drc.fits\na_trl.txt\n'
    """
    return "".join(f"{name}\n" for name in dict.fromkeys(names))


def log_text(log: Log) -> str:
    """Write the log of a product.

    Parameters
    ----------
    log : Log

    Returns
    -------
    str
        Lines, the last one ended too; the same for the same facts.
    """
    lines = [f"{log.product}", f"made {log.date.isoformat()} by {log.software}", ""]
    lines += ["Exposures", *(line for r in log.records for line in _of_exposure(r, log.attempts))]
    if log.parameters is not None:
        lines += ["", "Parameters", *_of_parameters(log.parameters)]
    if log.notes:
        lines += ["", "Notes", *(f"  {note}" for note in log.notes)]
    return "\n".join(lines) + "\n"


def _of_exposure(record: ExposureRecord, attempts: Mapping[str, Sequence[str]]) -> list[str]:
    reason = f": {record.verdict.reason}" if record.verdict.reason else ""
    factors = " ".join(f"{chip.flux_factor:.6f}" for chip in record.chips)
    skies = " ".join(f"{chip.sky:.4f}" for chip in record.chips)
    lines = [
        f"  {record.name}  {record.layer_name}  {record.exptime:g} s  {record.url}",
        f"    {record.verdict.status}{reason}",
        f"    WCS {record.wcsname or 'without a name'}: {tie_of(record)}",
        f"    sky {skies} {record.unit}; flux factors {factors}",
    ]
    fit = record.correction
    if fit is not None:
        east, north = (shift * 1000.0 for shift in fit.shift)
        lines.append(f"    moved by {east:.2f} mas east, {north:.2f} mas north")
    return lines + [f"    {line}" for line in attempts.get(record.name, ())]


def _of_parameters(told: Told) -> list[str]:
    width = max((len(name) for name in told.values), default=0)
    lines = []
    for name, value in told.values.items():
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value) or "''"
        lines.append(f"  {name:<{width}}  {shown}  ({told.origin.get(name, 'built in')})")
    lines += [f"  {name}: has no meaning here: {why}" for name, why in told.ignored.items()]
    return lines + [f"  {note}" for note in told.notes]
