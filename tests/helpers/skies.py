"""Small dithered exposures of one structured sky, the same for ever: no random generator."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

#: Name, offset (arcsec), roll (degrees), level (electrons), seconds.
SET = (
    ("ia0s01aaq", (0.0, 0.0), 0.0, 50.0, 100.0),
    ("ia0s01abq", (1.7, 2.3), 0.0, 57.0, 120.0),
    ("ia0s02aaq", (-2.1, 0.9), 33.0, 44.0, 90.0),
    ("ia0s02abq", (0.6, -3.4), 33.0, 49.0, 100.0),
)
SHAPE = (120, 256)
_SEED = 1000003


def hashed(shape: tuple[int, ...], k: int) -> NDArray[np.float64]:
    """Uniform numbers."""
    n = int(np.prod(shape))
    i = np.arange(n, dtype=np.uint64) + np.uint64(k * _SEED)
    with np.errstate(over="ignore"):
        i = (i ^ (i >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        i = (i ^ (i >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        i = i ^ (i >> np.uint64(31))
    uniform = ((i >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return uniform.reshape(shape)


def noise(shape: tuple[int, ...], k: int) -> NDArray[np.float64]:
    """Nearly normal numbers."""
    return np.asarray(sum(hashed(shape, 100 * k + j) for j in range(12)) - 6.0)


def structure(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of the sky itself: a slope and waves, electrons per 100 s and pixel."""
    x, y = (ra - 150.1) * 3600.0, (dec - 2.2) * 3600.0
    return np.asarray(8.0 + 0.6 * x - 0.9 * y + 4.0 * np.sin(x / 1.3) * np.cos(y / 1.7))


def write_set(fields: ModuleType, folder: Path) -> list[Path]:
    """Write two-chip exposures of one sky at two rolls, with stars, flags, and low pixels."""
    from hapdask.observe.exposure import open_exposures

    paths = []
    for k, (name, offset, roll, level, seconds) in enumerate(SET):
        path = fields.write_exposure(
            folder, name, shape=SHAPE, offset=offset, roll=roll, exptime=seconds,
            start=58000.0 + k, fill=fields.clean,
        )  # fmt: skip
        (record,) = open_exposures(path)
        with fits.open(path, mode="update") as hdus:
            for chip in record.chips:
                sci, dq = pixels(chip, 10 * k + chip.extver, level, seconds)
                hdus["SCI", chip.extver].data[:] = sci
                hdus["DQ", chip.extver].data[:] = dq
        paths.append(path)
    return paths


def pixels(chip: Any, k: int, level: float, seconds: float) -> tuple[Any, Any]:
    """SCI and DQ of a chip."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float64)
    sky = structure(*chip.distortion.pixel_to_sky(x, y)) * seconds / 100.0
    sci = level + sky + 6.0 * noise(SHAPE, k)
    sci += np.where(hashed(SHAPE, 7000 + k) < 0.02, 40.0 / hashed(SHAPE, 8000 + k), 0.0)
    low = hashed(SHAPE, 9000 + k) < 0.002
    sci[low] = -80.0
    dq = np.where(hashed(SHAPE, 6000 + k) < 0.03, 16, 0)
    sci[dq > 0] = 900.0
    return sci.astype(np.float32), dq.astype(np.int16)
