"""The pixel grid of an image that a user names as the reference of an output frame.

Here: which extension is meant, and its grid without distortion, as AstroDrizzle takes it.  Not
here: what becomes of the grid (`hapdask.drizzling.frame_request`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from hapdask.errors import FrameError, InputError
from hapdask.observe.fits import FitsFile, Hdu, scan
from hapdask.sky.frame import Frame

log = logging.getLogger(__name__)

_NAMED = re.compile(r"(?P<path>.+?)\s*(?:\[\s*(?P<ext>[^\[\]]*?)\s*\])?")
_DISTORTION = re.compile(r"(CPDIS|CPERR|DP|DQ|D2IM|CQDIS|CQERR)[12].*|(A|B|AP|BP)_.*")
_REMEDY = "name an extension with a WCS, for example product_drz.fits[SCI,1]"


def read_reference(reference: str) -> Frame:
    """Read the grid of a reference image.

    Parameters
    ----------
    reference : str
        A FITS file, plain or .gz, local or not; ``[1]``, ``[SCI]`` or ``[SCI,1]`` after it names
        the extension, else it is the first with CRVAL1 and a matrix.

    Returns
    -------
    Frame
        Of the extension's size and named by its WCSNAME.  Its distortion, if it has one, is left
        out.  Positions of the older system FK5 are taken as they stand, as those of exposures are.

    Raises
    ------
    InputError
        If the file or the extension is not there, or its WCS is no tangent plane.
    """
    named = _NAMED.fullmatch(reference.strip())
    path, ext = (named["path"], named["ext"]) if named else (reference, None)
    file = scan(path)
    hdu = _find(file, ext)
    header = _linear(hdu.header, path)
    try:
        frame = Frame.from_header(header, _shape(hdu))
    except FrameError as error:
        raise InputError(path, str(error), ext=hdu.label, remedy=_REMEDY) from error
    if frame.empty:
        raise InputError(path, "is an image without pixels", ext=hdu.label, remedy=_REMEDY)
    name = str(header.get("WCSNAME") or "")
    return Frame(frame.crval, frame.crpix, frame.cd, frame.shape, name=name)


def _find(file: FitsFile, ext: str | None) -> Hdu:
    """Find the extension that was named, or the first with a WCS."""
    if ext is None:
        found = next((hdu for hdu in file.hdus if _has_wcs(hdu.header)), None)
        problem = "no extension has a WCS (CRVAL1 and a CD matrix)"
    elif ext.isdecimal():
        found = file.hdus[int(ext)] if int(ext) < len(file.hdus) else None
        problem = f"there is no extension {ext}"
    else:
        name, _, extver = (part.strip() for part in ext.partition(","))
        number = int(extver) if extver.isdecimal() else 1
        found = file.find(name.upper(), number)
        problem = f"there is no extension {ext}"
    if found is None:
        raise InputError(file.path, problem, remedy=_REMEDY)
    return found


def _has_wcs(header: Mapping[str, Any]) -> bool:
    return "CRVAL1" in header and ("CD1_1" in header or "CDELT1" in header)


def _shape(hdu: Hdu) -> tuple[int, int] | None:
    """Size of the image, compressed or not; None where the WCS cards alone may tell."""
    compressed = hdu.header.get("ZNAXIS2"), hdu.header.get("ZNAXIS1")
    ny, nx = compressed if hdu.header.get("ZIMAGE") is True else (hdu.shape or (None, None))[-2:]
    return (ny, nx) if isinstance(ny, int) and isinstance(nx, int) else None


def _linear(header: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Take the distortion out of the cards."""
    plain = {key: value for key, value in header.items() if not _DISTORTION.fullmatch(key)}
    for key in ("CTYPE1", "CTYPE2"):
        if isinstance(plain.get(key), str) and plain[key].endswith("-SIP"):
            plain[key] = plain[key].removesuffix("-SIP")
            log.info("%s: only the linear part of its WCS is used", path)
    system = str(plain.get("RADESYS") or "ICRS").strip()
    if system == "FK5":
        log.warning("%s: RADESYS is FK5; its positions are taken as ICRS", path)
    plain["RADESYS"] = "ICRS" if system == "FK5" else system
    return plain
