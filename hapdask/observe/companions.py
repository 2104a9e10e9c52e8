"""The second file of an exposure, where its data quality lies: the c1m beside WFPC2's c0m."""

from __future__ import annotations

from hapdask.errors import InputError
from hapdask.observe.fits import FitsFile, scan_source
from hapdask.observe.instruments import Instrument
from hapdask.observe.parts import FileIdentity
from hapdask.observe.source import open_source


def companion_urls(url: str, instrument: Instrument) -> tuple[str, ...]:
    """Addresses where an exposure's companion may lie: beside it, packed as it is or not."""
    folder, slash, name = url.rpartition("/")
    pair = instrument.companion
    if pair is None or f"{pair.suffix}." not in name:
        return ()
    other = folder + slash + name.replace(f"{pair.suffix}.", f"{pair.other}.", 1)
    plain = other.removesuffix(".gz")
    return (other, f"{plain}.gz" if plain == other else plain)


def open_companion(file: FitsFile, instrument: Instrument) -> FitsFile | None:
    """Scan the companion of an exposure; None where there is none.

    Raises
    ------
    InputError
        If it is there but cannot be read, or is that of another exposure.
    """
    found = next(filter(None, map(_scan, companion_urls(file.path, instrument))), None)
    if found is None:
        return None
    names = [str(f.hdus[0].header.get("ROOTNAME") or "").strip().lower() for f in (file, found)]
    if all(names) and names[0] != names[1]:
        raise InputError(
            found.path,
            f"is the data quality of {names[1]}, not of {names[0]}",
            ext="PRIMARY",
            remedy="fetch both files again",
        )
    return found


def _scan(url: str) -> FitsFile | None:
    try:
        with open_source(url) as source:
            return scan_source(source)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def identity_of(file: FitsFile) -> FileIdentity:
    """Tell what the file is, so that a change of it is noticed."""
    return FileIdentity(file.size, file.header_hash, file.stamp)
