"""Pixels of one chip to the sky and back, with the complete distortion of the template.

What lives here: positions, Jacobians and pixel areas, by astropy's WCS machinery. This is on
purpose not the map that the drizzle kernels use: the truth of the tests stays independent of the
code under test.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hapdask.simulate.pointing import TangentFrame, direction, triad
from hapdask.simulate.templates import Template

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

FloatArray = npt.NDArray[np.float64]

_STEP = 0.5  # pixels, each side, of the central differences
_INVERSE_TOLERANCE = 1e-7  # pixels


class ChipGeometry:
    """The map of one chip at one attitude.

    Parameters
    ----------
    template : Template
        Where SIP, NPOL and D2IM come from.
    extver : int
        The chip.
    frame : TangentFrame
        CRVAL and CD of the chip.
    shape : tuple of int
        ``(ny, nx)`` of the chip.

    Notes
    -----
    Pixel positions are 0-based with integers at pixel centres.
    """

    def __init__(
        self, template: Template, extver: int, frame: TangentFrame, shape: tuple[int, int]
    ) -> None:
        header = template.headers["SCI", extver]
        self.extver = extver
        self.frame = frame
        self.shape = shape
        self.idcscale = float(header["IDCSCALE"])
        self.wcs = _build_wcs(template, header, frame)

    def pixel_to_sky(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """RA, Dec (float64, degrees) of pixel positions."""
        ra, dec = self.wcs.all_pix2world(np.asarray(x, float), np.asarray(y, float), 0)
        return np.asarray(ra), np.asarray(dec)

    def sky_to_pixel(
        self, ra: npt.ArrayLike, dec: npt.ArrayLike, margin: float = 0.0
    ) -> tuple[FloatArray, FloatArray]:
        """Pixel positions of sky positions.

        Parameters
        ----------
        ra, dec : array_like of float64
            Degrees.
        margin : float
            Positions up to so many pixels off the chip are wanted.

        Returns
        -------
        x, y : ndarray of float64
            NaN for positions farther off.
        """
        ra, dec = np.atleast_1d(np.asarray(ra, float)), np.atleast_1d(np.asarray(dec, float))
        x, y = np.full(ra.shape, np.nan), np.full(ra.shape, np.nan)
        near = np.flatnonzero(self._near(ra, dec, margin))
        if near.size:
            px, py = self.wcs.all_world2pix(
                ra[near], dec[near], 0, tolerance=_INVERSE_TOLERANCE, maxiter=50, quiet=True
            )
            ny, nx = self.shape
            inside = (
                (px >= -0.5 - margin) & (px <= nx - 0.5 + margin)
                & (py >= -0.5 - margin) & (py <= ny - 0.5 + margin)
            )  # fmt: skip
            x[near[inside]], y[near[inside]] = px[inside], py[inside]
        return x, y

    def jacobian(self, x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
        """Differentiate the tangent-plane position by the pixel position.

        Parameters
        ----------
        x, y : array_like of float64
            Pixel positions.

        Returns
        -------
        ndarray of float64, shape (n, 2, 2)
            arcsec / pixel; rows (east, north) of the chip's tangent point, columns (x, y).
        """
        x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
        columns = []
        for dx, dy in ((_STEP, 0.0), (0.0, _STEP)):
            ahead = np.stack(self._focal(x + dx, y + dy))
            behind = np.stack(self._focal(x - dx, y - dy))
            columns.append((ahead - behind) / (2.0 * _STEP))
        focal = np.stack(columns, axis=-1).swapaxes(0, 1)
        return np.asarray(3600.0 * self.frame.cd @ focal)

    def relative_area(self, x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
        """Pixel area map: |det J(pixel to sky)| / IDCSCALE^2.

        Parameters
        ----------
        x, y : array_like of float64
            Pixel positions.

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        x, y = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
        plane = np.abs(np.linalg.det(self.jacobian(x, y)))
        focal = np.stack(self._focal(x, y)) + 1.0 - self.wcs.wcs.crpix[:, None]
        xi, eta = np.radians(self.frame.cd @ focal)
        # area on the sphere / area on the tangent plane = cos^3 of the distance
        return np.asarray(plane * (1.0 + xi**2 + eta**2) ** -1.5 / self.idcscale**2)

    def local_axes(self, ra: float, dec: float) -> FloatArray:
        """Directions (east, north) of a place as seen in the chip's tangent plane.

        Returns
        -------
        ndarray of float64, shape (2, 2)
            Columns: local east, local north; rows: east, north of the tangent point.
        """
        return np.asarray(triad(*self.frame.crval)[:, 1:].T @ triad(ra, dec)[:, 1:])

    def corners(self) -> tuple[FloatArray, FloatArray]:
        """RA, Dec of the centres of the corner pixels, counted along the edge."""
        ny, nx = self.shape
        return self.pixel_to_sky([0, 0, nx - 1, nx - 1], [0, ny - 1, ny - 1, 0])

    def _focal(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Pixel positions after D2IM, SIP and NPOL (0-based)."""
        fx, fy = self.wcs.pix2foc(x, y, 0)
        return np.asarray(fx), np.asarray(fy)

    def _near(self, ra: FloatArray, dec: FloatArray, margin: float) -> npt.NDArray[np.bool_]:
        """Keep what is within the circle about the chip: outside it the inverse may diverge."""
        ny, nx = self.shape
        cra, cdec = self.pixel_to_sky([(nx - 1) / 2], [(ny - 1) / 2])
        radius = (0.5 * math.hypot(nx, ny) * 1.15 + 1.5 * margin) * self.idcscale / 3600.0
        a, d = np.radians(ra), np.radians(dec)
        vectors = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
        return np.asarray(
            vectors @ direction(float(cra[0]), float(cdec[0])) > math.cos(math.radians(radius))
        )


def _build_wcs(template: Template, header: Header, frame: TangentFrame) -> WCS:
    from astropy.wcs import WCS, DistortionLookupTable, Sip

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crpix = [float(header["CRPIX1"]), float(header["CRPIX2"])]
    wcs.wcs.crval = list(frame.crval)
    wcs.wcs.cd = frame.cd
    wcs.sip = Sip(_sip(header, "A"), _sip(header, "B"), None, None, wcs.wcs.crpix)
    for record, extension, attributes in (
        ("DP", "WCSDVARR", ("cpdis1", "cpdis2")),
        ("D2IM", "D2IMARR", ("det2im1", "det2im2")),
    ):
        for axis, attribute in enumerate(attributes, start=1):
            key = f"{record}{axis}.EXTVER"
            if key in header:
                ver = int(header[key])
                card = template.headers[extension, ver]
                reference = [
                    tuple(float(card[f"{name}{i}"]) for i in (1, 2))
                    for name in ("CRPIX", "CRVAL", "CDELT")
                ]
                table = DistortionLookupTable(template.tables[extension, ver], *reference)
                setattr(wcs, attribute, table)
    wcs.wcs.set()
    return wcs


def _sip(header: Header, axis: str) -> FloatArray:
    order = int(header[f"{axis}_ORDER"])
    coefficients = np.zeros((order + 1, order + 1))
    for p in range(order + 1):
        for q in range(order + 1 - p):
            coefficients[p, q] = header.get(f"{axis}_{p}_{q}", 0.0)
    return coefficients
