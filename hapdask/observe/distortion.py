"""A chip's whole pixel-to-sky map as plain arrays.

Read from FITS cards once, checked, then carried in records and graphs in place of a WCS object:
D2IM tables, SIP polynomial, NPOL tables, CD, CRPIX, CRVAL (order of application as astropy and
stwcs).  The arithmetic is in `hapdask.kernels.chains`; this module reads, checks and corrects.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.kernels import chains

Floats = NDArray[np.float64]
Cards = Mapping[str, Any]
Tables = Mapping[tuple[str, int], tuple[Cards, NDArray[Any]]]

_MAX_SIP_ORDER = 9
#: Hubble's largest distortion is some 200 pixels (ACS/WFC corners); anything beyond is broken.
_MAX_DISTORTION = 1000.0
_TABLES = (  # attribute, keyword stem, prefix of its record-valued card, extension name, axis
    ("d2im_x", "D2IMDIS", "D2IM", "D2IMARR", 1),
    ("d2im_y", "D2IMDIS", "D2IM", "D2IMARR", 2),
    ("npol_x", "CPDIS", "DP", "WCSDVARR", 1),
    ("npol_y", "CPDIS", "DP", "WCSDVARR", 2),
)


@dataclass(frozen=True, slots=True)
class Correction:
    """The alignment of one exposure: an affine map in a stated tangent plane.

    A position ``(xi, eta)`` of the plane tangent at ``center`` moves to
    ``matrix @ (xi, eta) + shift``; the same for all chips of the exposure.

    Parameters
    ----------
    center : tuple of float, degrees
        Tangent point (RA, Dec).
    matrix : tuple of float
        Row by row: m11, m12, m21, m22.
    shift : tuple of float, arcseconds
        Along xi (east) and eta (north).
    """

    center: tuple[float, float]
    matrix: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Distortion:
    """Pixel-to-sky map of one chip.

    Attributes
    ----------
    shape : tuple of int
        Chip size (ny, nx), pixels.
    crval : tuple of float, degrees
        Tangent point (RA, Dec), ICRS.
    crpix : tuple of float
        Reference pixel (x, y), 1-based as in FITS.
    cd : tuple of float, degrees / pixel
        CD1_1, CD1_2, CD2_1, CD2_2.
    sip_a, sip_b : ndarray of float64, shape (order + 1, order + 1)
        SIP coefficients, index [p, q] of u**p v**q.
    d2im_x, d2im_y, npol_x, npol_y : LookupTable or None
        Correction tables with 0-based detector positions.
    """

    shape: tuple[int, int]
    crval: tuple[float, float]
    crpix: tuple[float, float]
    cd: tuple[float, float, float, float]
    sip_a: Floats
    sip_b: Floats
    d2im_x: chains.LookupTable | None = None
    d2im_y: chains.LookupTable | None = None
    npol_x: chains.LookupTable | None = None
    npol_y: chains.LookupTable | None = None

    @classmethod
    def from_header(
        cls, header: Cards, tables: Tables, *, path: str = "", ext: str = ""
    ) -> Distortion:
        """Read a chip's distortion from its SCI cards and the file's table extensions.

        Parameters
        ----------
        header : mapping
            SCI cards; record-valued cards under names such as ``DP1.EXTVER``.
        tables : mapping
            ``(extension name, EXTVER)`` to (cards, values) of D2IMARR and WCSDVARR extensions.
        path, ext : str
            Named in errors.

        Raises
        ------
        InputError
            Where a needed card is absent, not finite or absurd, or a table is missing or broken.
        """
        read = _Reader(header, path, ext)
        read.require_tan()
        order_a, order_b = read.sip_order("A"), read.sip_order("B")
        found = {
            name: read.table(tables, stem, prefix, extname, axis)
            for name, stem, prefix, extname, axis in _TABLES
        }
        distortion = cls(
            shape=(int(read.number("NAXIS2")), int(read.number("NAXIS1"))),
            crval=(read.number("CRVAL1") % 360.0, read.number("CRVAL2")),
            crpix=(read.number("CRPIX1"), read.number("CRPIX2")),
            cd=(
                read.number("CD1_1"),
                read.number("CD1_2"),
                read.number("CD2_1"),
                read.number("CD2_2"),
            ),
            sip_a=read.sip("A", order_a),
            sip_b=read.sip("B", order_b),
            **found,
        )
        distortion._check(read)
        return distortion

    def _check(self, read: _Reader) -> None:
        if abs(self.crval[1]) > 90.0:
            raise read.error(f"CRVAL2 = {self.crval[1]} is no declination", "restore its WCS")
        if not 1e-3 < self.pixel_scale < 10.0:
            raise read.error(
                f"the CD matrix gives pixels of {self.pixel_scale:.3g} arcsec", "restore its WCS"
            )
        worst = self._largest_move()
        if not worst <= _MAX_DISTORTION:
            raise read.error(
                f"the distortion model moves pixels by up to {worst:.3g} pixels",
                "its SIP coefficients or look-up tables are broken; run updatewcs on the file",
            )

    def _largest_move(self) -> float:
        """About how far the model moves a pixel, pixels; NumPy alone: opening compiles nothing."""
        ny, nx = self.shape
        u = np.linspace(0, nx - 1, 9) - (self.crpix[0] - 1.0)
        v = np.linspace(0, ny - 1, 9) - (self.crpix[1] - 1.0)
        with np.errstate(all="ignore"):
            sip_x, sip_y = (polynomial.polygrid2d(u, v, sip) for sip in (self.sip_a, self.sip_b))
            worst = float(np.max(np.hypot(sip_x, sip_y)))
        tables = (self.d2im_x, self.d2im_y, self.npol_x, self.npol_y)
        return worst + sum(float(np.max(np.abs(t.values))) for t in tables if t is not None)

    @property
    def pixel_scale(self) -> float:
        """Square root of a pixel's area at CRPIX, arcsec, without distortion."""
        a, b, c, d = self.cd
        return 3600.0 * math.sqrt(abs(a * d - b * c))

    def chain(self, homography: Floats | None = None) -> chains.Chain:
        """Arrays for the kernels; without ``homography``, to undistorted 0-based chip pixels."""
        crpix = (self.crpix[0] - 1.0, self.crpix[1] - 1.0)
        if homography is None:
            homography = np.array([[1.0, 0.0, crpix[0]], [0.0, 1.0, crpix[1]], [0.0, 0.0, 1.0]])
        tables = (self.d2im_x, self.d2im_y, self.npol_x, self.npol_y)
        return chains.make_chain(homography, crpix, self.sip_a, self.sip_b, tables)

    def chain_to(
        self, crval: tuple[float, float], crpix: tuple[float, float], cd: tuple[float, ...]
    ) -> chains.Chain:
        """Arrays that map this chip to a TAN grid with a 1-based ``crpix`` (see `Frame`)."""
        homography = chains.tangent_homography(
            np.reshape(self.cd, (2, 2)),
            self.crval,
            np.reshape(cd, (2, 2)).astype(np.float64),
            crval,
            (crpix[0] - 1.0, crpix[1] - 1.0),
        )
        return self.chain(homography)

    def _focal(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Undistorted chip pixels, 0-based."""
        flat_x = np.ascontiguousarray(x, dtype=np.float64).ravel()
        flat_y = np.ascontiguousarray(y, dtype=np.float64).ravel()
        out_x, out_y = np.empty_like(flat_x), np.empty_like(flat_y)
        chains.map_points(self.chain(), flat_x, flat_y, out_x, out_y)
        return out_x.reshape(np.shape(x)), out_y.reshape(np.shape(x))

    def pixel_to_sky(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Sky position of detector positions.

        Parameters
        ----------
        x, y : ndarray of float64
            0-based detector positions, equal shapes.

        Returns
        -------
        ra, dec : ndarray of float64, degrees, ICRS
        """
        fx, fy = self._focal(*np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)))
        u, v = fx - (self.crpix[0] - 1.0), fy - (self.crpix[1] - 1.0)
        xi = np.radians(self.cd[0] * u + self.cd[1] * v)
        eta = np.radians(self.cd[2] * u + self.cd[3] * v)
        return sky_of_plane(xi, eta, self.crval)

    def corrected(self, correction: Correction | None) -> Distortion:
        """Move this chip by an exposure's correction, exactly to first order at CRVAL.

        The affine acts in the plane tangent at ``correction.center``; its value and derivative
        at this chip's CRVAL give the new CRVAL and CD, so tables and SIP stay as they are.
        """
        if correction is None:
            return self
        m = correction.matrix
        sx, sy = (math.radians(s / 3600.0) for s in correction.shift)
        affine = np.array([[m[0], m[1], sx], [m[2], m[3], sy], [0.0, 0.0, 1.0]])
        there = chains.tangent_basis(*correction.center)
        return self.moved(there.T @ affine @ there)

    def rotated(self, rotation: Floats) -> Distortion:
        """Turn this chip on the sphere, exactly.

        Parameters
        ----------
        rotation : ndarray of float64, shape (3, 3)
            A rotation of unit vectors.
        """
        return self.moved(rotation)

    def undistorted(self) -> Distortion:
        """Leave out SIP and NPOL.

        D2IM stays: AstroDrizzle means to leave it out too, and by a slip keeps it.
        """
        none = np.zeros((1, 1))
        return replace(self, sip_a=none, sip_b=none, npol_x=None, npol_y=None)

    def moved(self, matrix: Floats) -> Distortion:
        """Apply a linear map of sky vectors, by its value and derivative at CRVAL.

        Parameters
        ----------
        matrix : ndarray of float64, shape (3, 3)
            Defined up to a positive factor.
        """
        moved = matrix @ chains.tangent_basis(*self.crval).T  # from this chip's plane to the sky
        x, y, z = (float(v) for v in moved[:, 2])
        crval = (
            math.degrees(math.atan2(y, x)) % 360.0,
            math.degrees(math.atan2(z, math.hypot(x, y))),
        )
        onto = chains.tangent_basis(*crval) @ moved  # a homography, (0, 0) to (0, 0)
        cd = onto[:2, :2] / onto[2, 2] @ np.reshape(self.cd, (2, 2))
        c11, c12, c21, c22 = (float(c) for c in cd.ravel())
        return replace(self, crval=crval, cd=(c11, c12, c21, c22))

    @cached_property
    def digest(self) -> str:
        """Hash of the content: equal distortions have equal digests."""
        h = hashlib.sha256()
        h.update(repr((self.shape, self.crval, self.crpix, self.cd)).encode())
        for array in (self.sip_a, self.sip_b):
            h.update(np.ascontiguousarray(array).tobytes())
        for table in (self.d2im_x, self.d2im_y, self.npol_x, self.npol_y):
            if table is None:
                h.update(b"none")
            else:
                h.update(repr((table.start, table.step, table.values.shape)).encode())
                h.update(np.ascontiguousarray(table.values).tobytes())
        return h.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Distortion) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return ("Distortion", self.digest)


def sky_of_plane(xi: Floats, eta: Floats, center: tuple[float, float]) -> tuple[Floats, Floats]:
    """Sky position (degrees) of tangent-plane coordinates (radians) about ``center``."""
    basis = chains.tangent_basis(*center)
    x, y, z = (xi * basis[0, k] + eta * basis[1, k] + basis[2, k] for k in range(3))
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def plane_of_sky(ra: Floats, dec: Floats, center: tuple[float, float]) -> tuple[Floats, Floats]:
    """Tangent-plane coordinates (radians) of sky positions (degrees) about ``center``."""
    basis = chains.tangent_basis(*center)
    a, d = np.radians(ra), np.radians(dec)
    vector = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    xi, eta, depth = np.tensordot(basis, vector, axes=1)
    return xi / depth, eta / depth


class _Reader:
    """Checked access to the cards of one SCI extension."""

    def __init__(self, header: Cards, path: str, ext: str) -> None:
        self.header, self.path, self.ext = header, path, ext

    def error(self, problem: str, remedy: str) -> InputError:
        return InputError(self.path, problem, ext=self.ext or None, remedy=remedy)

    def number(self, key: str, default: float | None = None) -> float:
        value = self.header.get(key, default)
        if value is None:
            raise self.error(f"{key} is missing", "restore the WCS, for example with updatewcs")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(f"{key} = {value!r} is not a number", "mend the header")
        if not math.isfinite(value):
            raise self.error(f"{key} = {value!r} is not finite", "mend the header")
        return float(value)

    def require_tan(self) -> None:
        for key, allowed in (("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN")):
            value = str(self.header.get(key, "")).strip()
            if value.removesuffix("-SIP") != allowed:
                raise self.error(
                    f"{key} = {value!r}, expected {allowed} or {allowed}-SIP",
                    "only tangent-plane images can be drizzled",
                )
        if self.number("LONPOLE", 180.0) != 180.0:
            raise self.error("LONPOLE is not 180", "only the usual tangent plane is supported")

    def sip_order(self, axis: str) -> int:
        with_sip = str(self.header.get("CTYPE1", "")).strip().endswith("-SIP")
        order = int(self.number(f"{axis}_ORDER", 0)) if with_sip else 0
        if not 0 <= order <= _MAX_SIP_ORDER:
            raise self.error(
                f"{axis}_ORDER = {order} is outside 0 to {_MAX_SIP_ORDER}", "mend the header"
            )
        return order

    def sip(self, axis: str, order: int) -> Floats:
        out = np.zeros((order + 1, order + 1))
        for p in range(order + 1):
            for q in range(order + 1 - p):
                out[p, q] = self.number(f"{axis}_{p}_{q}", 0.0)
        return out

    def table(
        self, tables: Tables, stem: str, prefix: str, extname: str, axis: int
    ) -> chains.LookupTable | None:
        kind = str(self.header.get(f"{stem}{axis}", "")).strip().lower()
        if not kind:
            return None
        if kind != "lookup":
            raise self.error(f"{stem}{axis} = {kind!r} is not supported", "only Lookup is")
        extver = int(self.number(f"{prefix}{axis}.EXTVER"))
        if (extname, extver) not in tables:
            raise self.error(
                f"its look-up table {extname},{extver} is missing", "run updatewcs on the file"
            )
        cards, values = tables[extname, extver]
        where = _Reader(cards, self.path, f"{extname},{extver}")
        if values.ndim != 2 or min(values.shape) < 1 or max(values.shape) > 4096:
            raise where.error(f"table of shape {values.shape}", "run updatewcs on the file")
        if not np.all(np.isfinite(values)):
            raise where.error("values that are not finite", "run updatewcs on the file")
        step = (where.number("CDELT1", 1.0), where.number("CDELT2", 1.0))
        if min(step) <= 0:
            raise where.error(f"CDELT = {step} is not positive", "run updatewcs on the file")
        # 1-based pixel p has the 0-based table coordinate (p - CRVAL) / CDELT + CRPIX - 1.
        start = tuple(
            where.number(f"CRVAL{k}", 0.0) - (where.number(f"CRPIX{k}", 0.0) - 1.0) * s - 1.0
            for k, s in ((1, step[0]), (2, step[1]))
        )
        return chains.LookupTable(
            np.ascontiguousarray(values, dtype=np.float64), (start[0], start[1]), step
        )
