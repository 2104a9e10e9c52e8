"""Exposures of one filter, and how a user names them in a line of text.

What lives here: the noun and its grammar. What is observed when is decided in ``field``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hapdask.errors import ParameterError
from hapdask.simulate.detectors import get_detector, get_passband
from hapdask.simulate.modes import WHOLE, Mode, Subarray

_SECONDS = 500.0
_GRAMMAR = (
    "INSTRUMENT/DETECTOR/FILTER[:SECONDS][:bin=N][:gain=N][:sub=EXTVER,X0,Y0,NX,NY], for example "
    "wfpc2/pc/f555w:300:gain=15"
)


@dataclass(frozen=True, slots=True)
class Setup:
    """Exposures of one filter in a visit.

    Parameters
    ----------
    instrument, detector, filter_name : str
        For example ``"WFC3", "UVIS", "F606W"``.
    exptime : float
        Seconds of each exposure.
    dithers : tuple of tuple of float
        POSTARG of each exposure, arcsec.
    mode : Mode
        Subarray, binning, gain.
    """

    instrument: str
    detector: str
    filter_name: str
    exptime: float
    dithers: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    mode: Mode = WHOLE


def parse_setup(text: str, dithers: tuple[tuple[float, float], ...] = ((0.0, 0.0),)) -> Setup:
    """Read a setup as a user writes it, checking every name.

    Parameters
    ----------
    text : str
        ``INSTRUMENT/DETECTOR/FILTER[:SECONDS][:bin=N][:gain=N][:sub=EXTVER,X0,Y0,NX,NY]``.
    dithers : tuple of tuple of float
        POSTARG of each exposure, arcsec.

    Returns
    -------
    Setup

    Raises
    ------
    ParameterError
        Where the text is no setup, or names what is not known.

    Examples
    --------
    >>> parse_setup("wfpc2/pc/f555w:300:gain=15").mode.gain
    15
    """
    names, *rest = text.strip().split(":")
    parts = names.upper().split("/")
    if len(parts) != 3:
        raise ParameterError(f"{text!r} is no setup: {_GRAMMAR}")
    exptime, mode = _SECONDS, WHOLE
    for word in rest:
        key, equals, value = word.partition("=")
        try:
            if not equals:
                exptime = float(key)
            elif key == "bin":
                mode = replace(mode, binning=int(value))
            elif key == "gain":
                mode = replace(mode, gain=int(value))
            elif key == "sub":
                mode = replace(mode, subarray=Subarray(*map(int, value.split(","))))
            else:
                raise ValueError
        except (ValueError, TypeError):
            raise ParameterError(
                f"{word!r} in {text!r} is no part of a setup: {_GRAMMAR}"
            ) from None
    detector = get_detector(parts[0], parts[1])
    get_passband(detector, parts[2])
    mode.check(detector)
    if not exptime > 0.0:
        raise ParameterError(f"{exptime:g} seconds in {text!r}: must be above 0")
    return Setup(parts[0], parts[1], parts[2], exptime, dithers, mode)
