"""Names of WCS solutions by the archive's conventions: WCSNAME, WCSTYPE, HDRNAME.

Source: DrizzlePac's and stwcs's rules as files of the archive show them, for example
``IDC_0461802ej-FIT_SVM_GAIAeDR3``.  Not here: the cards that carry them (`products.solutions`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from hapdask.errors import ParameterError

#: How a fit was made, by the label in its WCSNAME.
FITTED = {
    "REL": "relatively aligned to",
    "IMG": "aligned image-by-image to",
    "EVM": "aligned by visit-exposures to",
    "SVM": "aligned by visit to",
    "MVM": "aligned by visits together to",  # ours: upstream has no text for it
}
#: The name of a WCS that has none when TweakReg archives it.
NAMELESS = "PRE-TWEAKREG"
#: Key and name of the WCS that the telescope's pipeline gave.
PIPELINE_KEY, PIPELINE_NAME = "O", "OPUS"

_BASES = {"IDC": "undistorted ", "OPU": "pipeline default "}
_NUMBERED = re.compile(r"(.*)([-_ ])(\d+)$")
_FORBIDDEN = re.compile(r"[^ -~]")


def fitted_name(previous: str, label: str, catalog: str) -> str:
    """Name a fitted WCS.

    Parameters
    ----------
    previous : str
        WCSNAME of the WCS that was fitted; what follows its first ``-`` goes.  May be empty.
    label : str
        One of `FITTED`.
    catalog : str
        Name of the reference catalog.

    Raises
    ------
    ParameterError
        If there is no such label, or the catalog has no name that fits into one.

    Examples
    --------
    >>> fitted_name("IDC_0461802ej-GSC240", "SVM", "GAIAeDR3")
    'IDC_0461802ej-FIT_SVM_GAIAeDR3'
    """
    if label not in FITTED:
        raise ParameterError(f"no fit is called {label!r}; choose one of {', '.join(FITTED)}")
    if not catalog.strip() or _FORBIDDEN.search(catalog):
        raise ParameterError(f"{catalog!r} cannot stand in a WCSNAME as the name of a catalog")
    base = previous.partition("-")[0].strip()
    return f"{base}-FIT_{label}_{catalog.strip()}" if base else f"FIT_{label}_{catalog.strip()}"


def wcs_type(wcsname: str) -> str:
    """Tell in words what the name of a WCS says: the value of WCSTYPE.

    Examples
    --------
    >>> wcs_type("IDC_0461802ej-FIT_SVM_GAIAeDR3")
    'undistorted a posteriori solution aligned by visit to GAIAEDR3'
    >>> wcs_type("OPUS"), wcs_type("TWEAK")
    ('pipeline default not aligned', 'user-defined')
    """
    words = wcsname.strip().upper().split("-")
    if not words[0]:
        return "not aligned"
    base = _BASES.get(words[0][:3])
    if base is None:
        return "user-defined"
    if len(words) == 1:
        return base + "not aligned"
    if not words[1].startswith("FIT"):
        return f"{base}a priori solution based on {words[1]}"
    _, _, fit = words[1].partition("_")
    label, _, catalog = fit.partition("_")
    if label not in FITTED:
        return "user-defined"
    return f"{base}a posteriori solution {FITTED[label]} {catalog}"


def headerlet_name(url: str, wcsname: str) -> str:
    """Name a headerlet after the file and the WCS that it is for: HDRNAME.

    Examples
    --------
    >>> headerlet_name("/data/j8xi0xsaq_flc.fits", "IDC_0461802ej-FIT_SVM_GAIAeDR3")
    'j8xi0xsaq_flc_IDC_0461802ej-FIT_SVM_GAIAeDR3-hlet.fits'
    """
    return f"{stem_of(url)}_{wcsname}-hlet.fits"


def stem_of(url: str) -> str:
    """Name a file without folder, ``.gz`` and ``.fits``."""
    name = PurePosixPath(url.replace("\\", "/")).name
    for ending in (".gz", ".fits", ".fit"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def unique_name(name: str, taken: Iterable[str]) -> str:
    """Give a number to a WCSNAME that is taken, in any case of letters: ``-1``, ``-2``, ...

    Examples
    --------
    >>> unique_name("IDC", ["idc", "IDC-1"]), unique_name("IDC-1", ["IDC", "IDC-1"])
    ('IDC-2', 'IDC-2')
    """
    used = {other.strip().upper() for other in taken}
    if name.upper() not in used:
        return name
    match = _NUMBERED.match(name)
    root, separator = (match[1], match[2]) if match else (name, "-")
    number = 1
    while f"{root}{separator}{number}".upper() in used:
        number += 1
    return f"{root}{separator}{number}"
