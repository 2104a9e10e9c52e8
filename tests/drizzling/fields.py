"""Small exposures on disk: chips of any size, distorted like real ones, with random pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

#: Where all of them look, degrees.
CENTER = (150.1, 2.2)

_DETECTORS = {
    # INSTRUME, filter cards, pixel scale, BUNIT, suffix, CCDCHIP of the extensions
    "UVIS": ("WFC3", {"FILTER": "F606W"}, 0.0396, "ELECTRONS", "flc", (2, 1)),
    "IR": ("WFC3", {"FILTER": "F160W"}, 0.1283, "ELECTRONS/S", "flt", (1,)),
    "WFC": (
        "ACS", {"FILTER1": "F814W", "FILTER2": "CLEAR2L"}, 0.05, "ELECTRONS", "flc", (2, 1),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Pixels:
    """Values of one chip."""

    sci: NDArray[np.float32]
    err: NDArray[np.float32] | None
    dq: NDArray[np.int16] | None


Fill = Callable[[np.random.Generator, tuple[int, int]], Pixels]


def noise(rng: np.random.Generator, shape: tuple[int, int]) -> Pixels:
    """Sky and stars of one pixel, errors, and flags of all kinds; some bad values."""
    sci = rng.normal(40.0, 6.0, shape)
    sci[rng.random(shape) < 0.01] += 5000.0
    err = rng.uniform(4.0, 8.0, shape)
    kinds = [0, 4, 16, 64, 256, 4096, 8192, 16 | 4096, -32768]
    dq = rng.choice(kinds, shape, p=[0.88, 0.01, 0.03, 0.03, 0.02, 0.01, 0.005, 0.005, 0.01])
    err[rng.random(shape) < 0.004] = 0.0
    err[rng.random(shape) < 0.004] = -3.0
    err[rng.random(shape) < 0.004] = np.nan
    sci[rng.random(shape) < 0.004] = np.nan
    return Pixels(sci.astype(np.float32), err.astype(np.float32), dq.astype(np.int16))


def clean(rng: np.random.Generator, shape: tuple[int, int]) -> Pixels:
    """Noise without any flag or bad value."""
    sci = rng.normal(40.0, 6.0, shape).astype(np.float32)
    return Pixels(sci, np.full(shape, 5.0, np.float32), np.zeros(shape, np.int16))


def write_exposure(
    folder: Path,
    name: str,
    *,
    detector: str = "UVIS",
    shape: tuple[int, int] = (140, 300),
    chips: int | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    roll: float = 0.0,
    exptime: float = 100.0,
    start: float = 58000.0,
    photflam: float = 1e-19,
    seed: int = 0,
    fill: Fill = noise,
    tables: bool = True,
    center: tuple[float, float] = CENTER,
) -> Path:
    """Write one exposure; ``offset`` (east, north) in arcsec, ``roll`` in degrees."""
    instrument, filters, scale, unit, suffix, numbers = _DETECTORS[detector]
    primary = fits.PrimaryHDU()
    primary.header.update(
        INSTRUME=instrument, DETECTOR=detector, ROOTNAME=name, PROPOSID=12345, TARGNAME="NGC-0",
        OBSTYPE="IMAGING", MTFLAG=" ", FGSLOCK="FINE", SCAN_TYP="N", DRIZCORR="PERFORM",
        EXPTIME=exptime, EXPSTART=start, EXPEND=start + exptime / 86400.0, **filters,
    )  # fmt: skip
    hdus = fits.HDUList([primary])
    rng = np.random.default_rng([seed, *name.encode()])
    for extver, number in enumerate(numbers[: chips or len(numbers)], start=1):
        pixels = fill(rng, shape)
        sci = fits.ImageHDU(pixels.sci, name="SCI", ver=extver)
        cards = _wcs_cards(shape, extver, scale, offset, roll, center)
        cards |= _table_cards(extver) if tables else {}
        cards |= {"CCDCHIP": number, "BUNIT": unit, "PHOTFLAM": photflam, "IDCSCALE": scale}
        for key, value in (cards | {"WCSNAME": "IDC_x-FIT_REL_GAIAeDR3"}).items():
            sci.header[key] = value
        hdus.append(sci)
        for label, data in (("ERR", pixels.err), ("DQ", pixels.dq)):
            if data is not None:
                hdus.append(fits.ImageHDU(data, name=label, ver=extver))
        for axis in (1, 2) if tables else ():
            for label in ("D2IMARR", "WCSDVARR"):
                hdus.append(_table(label, 2 * extver - 2 + axis, shape))
    path = folder / f"{name}_{suffix}.fits"
    hdus.writeto(path, overwrite=True)
    return path


def _wcs_cards(shape, extver, scale, offset, roll, center):
    ny, nx = shape
    turn, cd = np.deg2rad(roll), scale / 3600.0
    # The second chip lies above the first, with a gap.
    up = (extver - 1.5) * (ny + 4) * cd
    east = offset[0] / 3600.0 - up * np.sin(turn)
    north = offset[1] / 3600.0 + up * np.cos(turn)
    return {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP",
        "CRPIX1": nx / 2, "CRPIX2": ny / 2,
        "CRVAL1": (center[0] + east / np.cos(np.deg2rad(center[1]))) % 360.0,
        "CRVAL2": center[1] + north,
        "CD1_1": -cd * np.cos(turn), "CD1_2": -cd * np.sin(turn),
        "CD2_1": -cd * np.sin(turn), "CD2_2": cd * np.cos(turn),
        "A_ORDER": 2, "B_ORDER": 3, "A_2_0": 2e-5, "A_1_1": -9e-6, "B_0_2": 1.5e-5, "B_0_3": 1e-9,
        "B_1_1": 2e-5,
    }  # fmt: skip


def _table_cards(extver):
    cards = {}
    for stem, prefix in (("D2IMDIS", "D2IM"), ("CPDIS", "DP")):
        for axis in (1, 2):
            cards[f"{stem}{axis}"] = "Lookup"
            cards[f"{prefix}{axis}.EXTVER"] = 2 * extver - 2 + axis
            cards[f"{prefix}{axis}.NAXES"] = 2
            cards[f"{prefix}{axis}.AXIS.1"] = 1
            cards[f"{prefix}{axis}.AXIS.2"] = 2
    return cards


def _table(label: str, ver: int, shape: tuple[int, int]) -> fits.ImageHDU:
    rng = np.random.default_rng([ver, *label.encode()])
    size = tuple(n // 64 + 2 for n in shape)
    hdu = fits.ImageHDU(rng.normal(0, 0.03, size).astype(np.float32), name=label, ver=ver)
    hdu.header.update(CRPIX1=0.0, CRPIX2=0.0, CRVAL1=0.0, CRVAL2=0.0, CDELT1=64.0, CDELT2=64.0)
    return hdu
