"""Names of the WCSs that exposures have, and the one that several have in common.

Not here: reading them from files (`hapdask.observe.solutions`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: What upstream prefers: corrected by guide stars of GSC 2.4.0, else as the distortion gives it.
_PREFERRED = (re.compile(r"IDC_.{9}-GSC240"), re.compile(r"IDC_.{9}"))


def basis_of(wcsname: str) -> str:
    """Tell on what a WCS rests: what follows the name of its distortion, upper case.

    Empty for a distortion as it is; the whole name where none is named (``OPUS``).

    Examples
    --------
    >>> basis_of("IDC_0461802ej-GSC240"), basis_of("IDC_0461802ej"), basis_of("OPUS")
    ('GSC240', '', 'OPUS')
    """
    head, dash, basis = wcsname.strip().upper().partition("-")
    return basis if dash or head.startswith("IDC") else head


def is_fitted(wcsname: str) -> bool:
    """Whether a WCS was fitted to the exposure's own sources."""
    return basis_of(wcsname).startswith("FIT")


def common_name(grism: Sequence[Iterable[str]], direct: Sequence[Iterable[str]]) -> str | None:
    """Choose the WCS that upstream gives to dispersed and direct exposures alike.

    Parameters
    ----------
    grism, direct : sequence of iterable of str
        Names of the WCSs of each exposure: its primary one, alternates and headerlets.

    Returns
    -------
    str or None
        Where all have ``IDC_?????????-GSC240``, that; else ``IDC_?????????``; None where neither
        is common to all.  Of several such names the first in order.

    Examples
    --------
    >>> common_name([["IDC_123456789", "IDC_123456789-GSC240"]], [["IDC_123456789"]])
    'IDC_123456789'
    """
    if not grism:
        return None
    shared = set.intersection(*(set(names) for names in (*grism, *direct)))
    for pattern in _PREFERRED:
        found = sorted(name for name in shared if pattern.fullmatch(name))
        if found:
            return found[0]
    return None
