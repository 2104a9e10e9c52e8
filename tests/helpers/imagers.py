"""Exposures of every imager: real headers where there are, else figures of its distortion table.

No real SBC, STIS or NICMOS file is at hand: theirs are made from the keywords that the data
handbooks list, with a SIP polynomial of the size of the real one.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

DATA = Path(__file__).parents[1] / "data" / "observe"
Cards = Mapping[str, Any]
Change = Callable[[fits.HDUList], None]

_TIMES = {"EXPTIME": 500.0, "EXPSTART": 54000.5, "EXPEND": 54000.506}
_COMMON = {"PROPOSID": 11111, "TARGNAME": "NGC-0", "FGSLOCK": "FINE", "MTFLAG": ""}

#: Primary cards, SCI cards, side of a chip (pixels), scale (arcsec).
SYNTHETIC: dict[str, tuple[Cards, Cards, int, float]] = {
    "sbc": (
        {
            "INSTRUME": "ACS",
            "DETECTOR": "SBC",
            "OBSTYPE": "IMAGING",
            "FILTER1": "F150LP",
            "FILTER2": "N/A",
            **_TIMES,
        },
        {"BUNIT": "ELECTRONS", "CCDCHIP": 1, "MEANDARK": 0.02, "BINAXIS1": 1, "BINAXIS2": 1},
        1024,
        0.0319,
    ),
    "ccd": (
        {
            "INSTRUME": "STIS",
            "DETECTOR": "CCD",
            "OBSTYPE": "IMAGING",
            "OBSMODE": "ACCUM",
            "OPT_ELEM": "MIRVIS",
            "APERTURE": "F28X50LP",
            "FILTER": "Long_Pass",
            "ATODGAIN": 4.016,
            "READNSE": 7.9,
            "BINAXIS1": 1,
            "BINAXIS2": 1,
        },
        {"BUNIT": "COUNTS", **_TIMES},
        1024,
        0.0508,
    ),
    "nuv-mama": (
        {
            "INSTRUME": "STIS",
            "DETECTOR": "NUV-MAMA",
            "OBSTYPE": "IMAGING",
            "OPT_ELEM": "MIRNUV",
            "APERTURE": "F25QTZ",
            "BINAXIS1": 2,
            "BINAXIS2": 2,
        },
        {"BUNIT": "COUNTS", **_TIMES},
        1024,
        0.0247,
    ),
    "fuv-mama": (
        {
            "INSTRUME": "STIS",
            "DETECTOR": "FUV-MAMA",
            "OBSTYPE": "IMAGING",
            "OPT_ELEM": "MIRFUV",
            "APERTURE": "25MAMA",
        },
        {"BUNIT": "COUNTS", **_TIMES},
        1024,
        0.0247,
    ),
    **{
        f"nic{camera}": (
            {
                "INSTRUME": "NICMOS",
                "CAMERA": camera,
                "IMAGETYP": "EXT",
                "OBSMODE": "MULTIACCUM",
                "FILTER": "F160W",
                "PHOTFLAM": 2e-19,
                **_TIMES,
            },
            {"BUNIT": "COUNTS/S"},
            256,
            scale,
        )
        for camera, scale in ((1, 0.0432), (2, 0.0758), (3, 0.2030))
    },
}


def real_headers(name: str) -> list[fits.Header]:
    """Read the headers kept in tests/data/observe: PRIMARY, SCI,1, ..."""
    raw = gzip.decompress((DATA / f"{name}_headers.bin.gz").read_bytes())
    found, start = [], 0
    for block in range(0, len(raw), 2880):
        if b"END".ljust(80) in [raw[i : i + 80] for i in range(block, block + 2880, 80)]:
            found.append(fits.Header.fromstring(raw[start : block + 2880]))
            start = block + 2880
    return found


def set_cards(header: fits.Header, cards: Cards | None) -> None:
    """Set cards; None takes one away."""
    for key, value in (cards or {}).items():
        if value is None:
            header.remove(key, ignore_missing=True)
        else:
            header[key] = value


def wcs_cards(side: int, scale: float) -> dict[str, Any]:
    """Cards of a TAN-SIP WCS at an odd roll; corners move by some pixels."""
    step, roll = scale / 3600.0, np.radians(33.0)
    size = 1e-3 / side  # quadratic terms: a fifth of a thousandth of a pixel per pixel at the edge
    return {
        "WCSNAME": "IDC_test",
        "CTYPE1": "RA---TAN-SIP",
        "CTYPE2": "DEC--TAN-SIP",
        "CRPIX1": side / 2,
        "CRPIX2": side / 2,
        "CRVAL1": 201.7,
        "CRVAL2": -47.5,
        "CD1_1": -step * np.cos(roll),
        "CD1_2": step * np.sin(roll),
        "CD2_1": step * np.sin(roll) * 1.01,
        "CD2_2": step * np.cos(roll) * 0.99,
        "IDCSCALE": scale,
        "PHOTFLAM": 1e-18,
        "A_ORDER": 4,
        "B_ORDER": 4,
        "A_2_0": 3.1 * size,
        "A_1_1": -1.7 * size,
        "A_0_2": 0.9 * size,
        "A_3_0": 2e-4 / side**2,
        "A_0_4": 1e-4 / side**3,
        "B_2_0": -0.4 * size,
        "B_1_1": 2.2 * size,
        "B_0_2": -2.9 * size,
        "B_1_2": 3e-4 / side**2,
        "B_3_1": -1e-4 / side**3,
    }


def make_synthetic(
    folder: Path,
    name: str,
    *,
    imsets: int = 1,
    primary: Cards | None = None,
    science: Cards | None = None,
    change: Change | None = None,
) -> Path:
    """Write an exposure of `SYNTHETIC`."""
    first, cards, side, scale = SYNTHETIC[name]
    root = f"x{name.replace('-', '')[:4]}01aaq"
    hdus = fits.HDUList([fits.PrimaryHDU()])
    set_cards(hdus[0].header, {"ROOTNAME": root, **_COMMON, **first, **(primary or {})})
    rng = np.random.default_rng(3)
    for extver in range(1, imsets + 1):
        sci = rng.normal(5.0, 1.0, (side, side)).astype(np.float32)
        hdus.append(fits.ImageHDU(sci, name="SCI", ver=extver))
        set_cards(hdus[-1].header, {**wcs_cards(side, scale), **cards, **(science or {})})
        hdus.append(fits.ImageHDU(np.ones_like(sci), name="ERR", ver=extver))
        hdus.append(fits.ImageHDU(np.zeros(sci.shape, np.int16), name="DQ", ver=extver))
    return _write(hdus, folder / f"{root}_flt.fits", change)


def make_hrc(folder: Path, *, science: Cards | None = None, change: Change | None = None) -> Path:
    """Write an exposure with the real headers of ACS/HRC."""
    primary, header = real_headers("hrc")
    hdus = fits.HDUList([fits.PrimaryHDU(header=primary)])
    hdus.append(fits.ImageHDU(np.ones((1024, 1024), np.float32), header, name="SCI", ver=1))
    set_cards(hdus[1].header, science)
    hdus.append(fits.ImageHDU(np.ones((1024, 1024), np.float32), name="ERR", ver=1))
    hdus.append(fits.ImageHDU(np.zeros((1024, 1024), np.int16), name="DQ", ver=1))
    return _write(hdus, folder / "j8bt06nyq_flt.fits", change)


def make_wfpc2(
    folder: Path,
    *,
    side: int = 800,
    with_c1m: bool = True,
    primary: Cards | None = None,
    science: Cards | None = None,
    change: Change | None = None,
) -> Path:
    """Write the c0m and c1m of an exposure with the real headers of WFPC2."""
    first, *headers = real_headers("wfpc2")
    hdus = fits.HDUList([fits.PrimaryHDU(header=first)])
    set_cards(hdus[0].header, primary)
    quality = fits.HDUList([fits.PrimaryHDU(header=first.copy())])
    for extver, header in enumerate(headers, 1):
        sci = np.full((side, side), 10.0, np.float32)
        hdus.append(fits.ImageHDU(sci, header, name="SCI", ver=extver))
        set_cards(hdus[-1].header, science)
        dq = np.zeros((side, side), np.int16)
        dq[3, 5 + extver] = 8
        quality.append(fits.ImageHDU(dq, name="SDQ", ver=extver))
    hdus.append(fits.ImageHDU(np.load(DATA / "wfpc2_truth.npz")["d2im"], name="D2IMARR", ver=1))
    set_cards(hdus[-1].header, {f"{key}{k}": v for key, v in _UNIT_TABLE.items() for k in (1, 2)})
    if with_c1m:
        _write(quality, folder / "u40x010hm_c1m.fits", None)
    return _write(hdus, folder / "u40x010hm_c0m.fits", change)


_UNIT_TABLE = {"CDELT": 1, "CRPIX": 0, "CRVAL": 0}


def _write(hdus: fits.HDUList, path: Path, change: Change | None) -> Path:
    if change is not None:
        change(hdus)
    path.parent.mkdir(exist_ok=True)
    hdus.writeto(path, output_verify="ignore", overwrite=True)
    return path
