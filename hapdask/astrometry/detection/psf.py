"""The image of a point source: round Gaussians, each integrated exactly over the pixels.

A star hardly wider than a pixel is recorded differently at every place within its pixel; what is
integrated over pixels fits it wherever it falls, where moments and fits of sampled functions are
drawn towards the middles of pixels.  Width, share of the wings, and what real images have besides
(rings, coma: a table of differences, finer than a pixel) are measured on each chip's own stars
(`measuring`).

Not here: finding stars and telling them from cosmic rays (`stars`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord

Floats = NDArray[np.float64]

#: FWHM of a Gaussian of sigma 1.
FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
#: FWHM of a diffraction core of Hubble's obscured aperture: this times lambda / D.
_CORE, _MIRROR = 0.95, 2.4
#: Width of the wings against the core.
_WINGS = 3.0
_ROOT2, _ROOT2PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)


#: Nodes per pixel of a table of differences.
FINE = 6


@dataclass(frozen=True, slots=True, eq=False)
class Psf:
    """Two round Gaussians about one centre, and a table of what real images have besides.

    Attributes
    ----------
    sigma : float, pixels
        Of the core, before it is recorded by pixels.
    wings : float
        Share of the light in wings that are three times as wide.
    table : ndarray of float64, shape (n, n), or None
        What a pixel has besides, as a share of the light, by the pixel's place from the star: nodes
        are ``1 / FINE`` pixel apart, the middle one at the star; beyond it there is nothing.
    diffraction : float, pixels
        lambda / D; 0 where it is not known.
    """

    sigma: float
    wings: float = 0.14
    table: Floats | None = None
    diffraction: float = 0.0

    @property
    def shares(self) -> tuple[float, float]:
        """Share of the light in the core and in the wings."""
        return 1.0 - self.wings, self.wings

    @property
    def recorded(self) -> float:
        """Sigma of the core as recorded, the pixel's own width included, pixels."""
        return math.sqrt(self.sigma**2 + 1.0 / 12.0)

    @property
    def fwhm(self) -> float:
        """FWHM of the core as recorded, pixels."""
        return FWHM * self.recorded

    @property
    def peak(self) -> float:
        """Share of the light in the pixel that a star is centred on."""
        return float(self.images(np.zeros(1), np.zeros(1), 0)[0][0, 0, 0])

    @property
    def _sigmas(self) -> Floats:
        return np.array([self.sigma, _WINGS * self.sigma])

    def profiles(self, away: Floats) -> Floats:
        """Share of core and wings in pixels so far from a star along an axis, shape (n, 2)."""
        return _integrals(-away, self._sigmas, 0)[0][:, :, 0]

    def images(self, x: Floats, y: Floats, half: int) -> tuple[Floats, Floats, Floats]:
        """Share of the light in each pixel of squares, and its derivatives by the position.

        Parameters
        ----------
        x, y : ndarray of float64, shape (n,)
            Of the stars, from the middle of the square's central pixel.
        half : int
            Squares have ``2 half + 1`` pixels on a side.

        Returns
        -------
        image, by_x, by_y : ndarray of float64, shape (n, size, size)
        """
        sigmas, shares = self._sigmas, np.array(self.shares)[:, None]
        along_x, slope_x = _integrals(x, sigmas, half)
        along_y, slope_y = (a * shares for a in _integrals(y, sigmas, half))
        image, by_x, by_y = (
            np.matmul(rows.transpose(0, 2, 1), columns)
            for rows, columns in ((along_y, along_x), (along_y, slope_x), (slope_y, along_x))
        )
        if self.table is None:
            return image, by_x, by_y
        more = _interpolated(self.table, x, y, half)
        return image + more[0], by_x + more[1], by_y + more[2]


def expected_psf(record: ExposureRecord, chip: ChipRecord, blur: float) -> Psf:
    """Guess what a chip's point sources look like before any was seen.

    Parameters
    ----------
    record, chip : ExposureRecord, ChipRecord
    blur : float, arcsec
        FWHM that the detector adds to the diffraction core.
    """
    diffraction = math.degrees(_CORE * _wavelength(record, chip) / _MIRROR) * 3600.0
    scale = chip.idcscale or chip.distortion.pixel_scale
    return Psf(
        math.hypot(diffraction, blur) / FWHM / scale, diffraction=diffraction / _CORE / scale
    )


def _wavelength(record: ExposureRecord, chip: ChipRecord) -> float:
    """Pivot wavelength in metres: of the header, or from the filter's name, or a middle one."""
    cards = dict(record.keywords) | dict(chip.keywords)
    given = cards.get("PHOTPLAM")
    if isinstance(given, int | float) and 900.0 < given < 30_000.0:
        return float(given) * 1e-10
    named = re.search(r"[a-z](\d{3})", record.filter)
    infrared = record.detector == "ir" or record.instrument == "nicmos"
    if named:
        return float(named[1]) * (1e-8 if infrared else 1e-9)
    return 1.4e-6 if infrared else 6e-7


def _integrals(at: Floats, sigmas: Floats, half: int) -> tuple[Floats, Floats]:
    """Share of every pixel along an axis and its derivative, shape (n, components, size)."""
    from scipy.special import erf

    edges = np.arange(-half, half + 2) - 0.5 - at[:, None]
    scaled = edges[:, None, :] / sigmas[:, None]
    share = 0.5 * np.diff(erf(scaled / _ROOT2), axis=-1)
    height = np.exp(-0.5 * np.square(scaled)) / (_ROOT2PI * sigmas[:, None])
    return share, -np.diff(height, axis=-1)


def _interpolated(table: Floats, x: Floats, y: Floats, half: int) -> tuple[Floats, Floats, Floats]:
    """Differences in each pixel of squares, and their derivatives by the star's position."""
    side = np.arange(-half, half + 1.0)
    # a rim of nothing: beyond it light must not go on for ever
    table = np.pad(table, 1)
    most = table.shape[0] - 1.001
    column, row = (
        np.clip((side - at[:, None]) * FINE + table.shape[0] // 2, 0.0, most) for at in (x, y)
    )
    left, low = column.astype(np.int64), row.astype(np.int64)
    across, up = (column - left)[:, None, :], (row - low)[:, :, None]
    low, left = low[:, :, None], left[:, None, :]
    a, b = table[low, left], table[low, left + 1]
    c, d = table[low + 1, left], table[low + 1, left + 1]
    value = (a * (1 - across) + b * across) * (1 - up) + (c * (1 - across) + d * across) * up
    by_column = (b - a) * (1 - up) + (d - c) * up
    by_row = (c - a) * (1 - across) + (d - b) * across
    return value, -FINE * by_column, -FINE * by_row
