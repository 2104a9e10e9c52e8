"""Partners of the one real exposure there is: copies on other pixels, with noise and hits.

The pixels are rolled by whole pixels and CRVAL moved by as much, so sources stay in their place on
the sky to the change of the distortion over the shift; noise is added, and tracks of cosmic rays.
Origin of the files: Debian's ``python-drizzle-testdata`` 1.13.4 (ACS/HRC F606W, 47 Tuc) and the
sdist of stwcs 1.7.2 (WFPC2 F555W, omega Cen), both BSD-3; ``--real`` names their folder.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Shifts of the partners in pixels of the last chip; the first exposure stays as it is.
SHIFTS = ((0, 0), (11, -7), (-6, 13), (9, 18))
_NOISE = 0.5  # of what lies below the median
_TRACKS, _LONGEST, _BRIGHTNESS = 1500, 8, 200.0  # per chip; pixels; in that noise
_ORBIT = 0.07  # days
#: What moves with the sky; flags stay on the detector.
_MOVED = ("SCI", "ERR")

Floats = NDArray[np.float64]


def make_partners(paths: list[Path], folder: Path) -> list[Path]:
    """Write the partners of an exposure, and the exposure, to a folder.

    Parameters
    ----------
    paths : list of Path
        The exposure's file, and that of its DQ where it has its own.
    folder : Path

    Returns
    -------
    list of Path
        Of the exposures, in order; files of DQ lie beside them.
    """
    from astropy.io import fits

    with fits.open(paths[0]) as hdus:
        chips = {hdu.ver: _matrix(hdu.header) for hdu in hdus if hdu.name == "SCI"}
    made = []
    for path in paths:
        for k, shift in enumerate(SHIFTS):
            step = chips[max(chips)] @ np.array(shift)
            rolls = {ver: np.rint(np.linalg.solve(cd, step)) for ver, cd in chips.items()}
            made.append(_write(path, folder, k, step, rolls))
    return made[: len(SHIFTS)]


def _matrix(header: Any) -> Floats:
    return np.array([[header["CD1_1"], header["CD1_2"]], [header["CD2_1"], header["CD2_2"]]])


def _write(path: Path, folder: Path, k: int, step: Floats, rolls: dict[int, Floats]) -> Path:
    """Write one partner of one file; ``step`` in degrees, east and north."""
    from astropy.io import fits

    root = path.name.split("_")[0]
    name = root[:6] + str(k) + root[7:]
    out = folder / f"{name}_{path.stem.split('_')[1]}.fits"
    rng = np.random.default_rng(100 + k)
    with fits.open(path) as hdus:
        hdus[0].header["ROOTNAME"], hdus[0].header["FILENAME"] = name.upper(), out.name
        for key in ("EXPSTART", "EXPEND"):
            if key in hdus[0].header:
                hdus[0].header[key] += k * _ORBIT
        for hdu in hdus:
            if hdu.name == "SCI":
                hdu.header["EXPNAME"] = name
            if "CRVAL1" in hdu.header and k:
                dec = math.radians(hdu.header["CRVAL2"])
                hdu.header["CRVAL1"] -= float(step[0]) / math.cos(dec)
                hdu.header["CRVAL2"] -= float(step[1])
            if hdu.name in _MOVED and k:
                dx, dy = rolls[hdu.ver].astype(int)
                hdu.data = np.roll(hdu.data, (dy, dx), axis=(0, 1))
            if hdu.name == "SCI" and k:
                low, middle = np.percentile(hdu.data, [16.0, 50.0])
                noise = _NOISE * (middle - low)
                hdu.data += rng.normal(0.0, noise, hdu.data.shape).astype(np.float32)
                _hit(hdu.data, noise, rng)
        hdus.writeto(out, overwrite=True)
    return out


def _hit(data: NDArray[np.float32], noise: float, rng: np.random.Generator) -> None:
    """Add straight tracks of cosmic rays."""
    for _ in range(_TRACKS):
        length, angle = rng.integers(1, _LONGEST), rng.uniform(0.0, math.pi)
        along = np.arange(length)
        y = (rng.uniform(0, data.shape[0]) + along * math.sin(angle)).astype(int) % data.shape[0]
        x = (rng.uniform(0, data.shape[1]) + along * math.cos(angle)).astype(int) % data.shape[1]
        data[y, x] += np.float32(noise * rng.exponential(_BRIGHTNESS))
