"""Rootnames in the style of HST: ``ipppssoot``.

What lives here: making and checking them. Which exposure gets which is decided in ``exposure``
and ``field``.
"""

from __future__ import annotations

import hashlib
import re

from hapdask.errors import ParameterError

_ROOTNAME = re.compile(r"[a-z][a-z0-9]{8}")
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


def make_rootname(prefix: str, program: str, visit: str, number: int) -> str:
    """Make a rootname ``ipppssoot`` as HST does.

    Parameters
    ----------
    prefix : str
        ``"i"`` for WFC3, ``"j"`` for ACS.
    program, visit : str
        Three and two letters or digits.
    number : int
        Of the exposure in the visit, 0 to 1295.

    Returns
    -------
    str

    Raises
    ------
    ParameterError
        If a part does not fit.
    """
    if not 0 <= number < 36 * 36:
        raise ParameterError(f"exposure number {number} does not fit a visit: 0 to 1295")
    if len(program) != 3 or len(visit) != 2:
        raise ParameterError(f"program {program!r} and visit {visit!r} need 3 and 2 characters")
    number_36 = _BASE36[number // 36] + _BASE36[number % 36]
    return check_rootname(f"{prefix}{program}{visit}{number_36}q".lower())


def hashed_rootname(prefix: str, *told: object) -> str:
    """Make a rootname of program ``sim`` whose visit and number are a hash.

    Parameters
    ----------
    prefix : str
        ``"i"`` for WFC3, ``"j"`` for ACS.
    *told : object
        What is simulated; its ``repr`` is hashed.

    Returns
    -------
    str
    """
    number = int.from_bytes(hashlib.sha256(repr(told).encode()).digest()[:8]) % 36**4
    visit, number = divmod(number, 36**2)
    return make_rootname(prefix, "sim", _BASE36[visit // 36] + _BASE36[visit % 36], number)


def check_rootname(name: str) -> str:
    """Return a rootname if it is one.

    Raises
    ------
    ParameterError
        If it is not ``ipppssoot`` in lower case.
    """
    if not _ROOTNAME.fullmatch(name):
        raise ParameterError(f"rootname {name!r} is not ipppssoot (9 lower-case letters, digits)")
    return name
