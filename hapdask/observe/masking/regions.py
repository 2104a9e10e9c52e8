"""DS9 regions: shapes on the sky or on the detector, turned into masks of chips.

A pixel is masked if its centre lies in an included shape and in no excluded one (a minus sign in
front), whatever their order.  Strategy for shapes on the sky: each has a plane tangent at its own
centre; pixel centres go there by the chip's whole distortion, one block at a time where a block
can reach the shape, and the shape is tested in the plane.  Pixel centres are exact to 1e-6 pixel;
polygons have great circles for sides, and a circle of 10 arcmin is out by 3e-6 of its radius.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.kernels import chains
from hapdask.kernels.blocks import BLOCK, blocks_reaching, chip_reach
from hapdask.observe.masking.detector import fill, image_axes, physical_axes
from hapdask.observe.masking.sources import MaskSource
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import open_source
from hapdask.sky.tangent import unit_vectors

if TYPE_CHECKING:
    from regions import PixelRegion, SkyRegion

log = logging.getLogger(__name__)

_FRAMES = re.compile(
    r"(image|physical|detector|fk4|b1950|fk5|j2000|icrs|galactic|ecliptic|linear|amplifier|wcs\w?)$",
    re.IGNORECASE,
)
_ON_DETECTOR = ("physical", "detector")
_NO_AREA = ("Text", "Point", "Line")
#: Pixels of the planes in which shapes on the sky are tested, degrees.
_PLANE_STEP = 0.01 / 3600.0


@dataclass(frozen=True)
class _SkyShape:
    """A shape in its own tangent plane: ``cd`` as of a FITS header, the centre at pixel (0, 0)."""

    included: bool
    center: tuple[float, float]
    cd: tuple[float, float, float, float]
    region: PixelRegion

    @property
    def radius(self) -> float:
        """Of a circle about the centre that holds the shape, degrees on the plane."""
        box = self.region.bounding_box
        width = max(abs(edge) for edge in (box.ixmin, box.ixmax, box.iymin, box.iymax))
        return float(np.sqrt(2.0) * (width + 1) * _PLANE_STEP)


@dataclass(frozen=True)
class _PixelShape:
    """A shape in pixels, 0-based as `regions` has them; of the image or of the detector."""

    included: bool
    on_detector: bool
    region: PixelRegion


@dataclass(frozen=True)
class RegionMask:
    """A file of DS9 regions."""

    source: MaskSource
    on_sky: tuple[_SkyShape, ...]
    in_pixels: tuple[_PixelShape, ...]

    @classmethod
    def open(cls, source: MaskSource) -> RegionMask:
        """Read a region file.

        Raises
        ------
        InputError
            If it cannot be read, holds what cannot be turned into a mask, or includes no area.
        """
        from regions import SkyRegion

        with open_source(source.url) as file:
            text = file.read(0, file.size).decode("utf-8", errors="replace")
        on_sky, in_pixels = [], []
        for part, on_detector in _split_frames(text):
            for region in _parse(part, source.url):
                included = bool(region.meta.get("include", 1))
                if isinstance(region, SkyRegion):
                    on_sky.append(_in_own_plane(region, included))
                else:
                    in_pixels.append(_PixelShape(included, on_detector, _plain(region)))
        if not any([*(s.included for s in on_sky), *(s.included for s in in_pixels)]):
            raise InputError(
                source.url,
                "no region with an area is included, so nothing would be masked",
                remedy="regions mark bad pixels; a minus sign spares pixels of another region",
            )
        return cls(source, tuple(on_sky), tuple(in_pixels))

    def is_for(self, exposure: ExposureRecord) -> bool:
        """Whether the exposure was named, or the file has regions on the sky for all."""
        if self.source.exposures:
            return self.source.chooses(exposure)
        return self.source.names(exposure) or not self.in_pixels

    def bad(self, exposure: ExposureRecord, chip: ChipRecord) -> NDArray[np.bool_] | None:
        """Pixels in included shapes and in no excluded one.

        Raises
        ------
        InputError
            If shapes are in pixels and the file does not say of which chip.
        """
        only = self.source.chip
        if only and only != chip.extver:
            return None
        if self.in_pixels and not only and len(exposure.chips) > 1:
            raise InputError(
                self.source.url,
                f"regions in pixels, and {exposure.name} has {len(exposure.chips)} chips",
                remedy="name the file ..._sci1..., or give extver",
            )
        layers = {True: np.zeros(chip.shape, bool), False: np.zeros(chip.shape, bool)}
        for sky_shape in _near(self.on_sky, chip):
            _fill_from_sky(layers[sky_shape.included], sky_shape, chip)
        for shape in self.in_pixels:
            _fill_from_pixels(layers[shape.included], shape, chip)
        return layers[True] & ~layers[False]


def _statements(text: str) -> Iterator[str]:
    """Statements of a region file: lines, and parts between semicolons outside of brackets."""
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue  # notes, and annotations without an area
        yield from (part.strip() for part in re.split(r";(?![^{]*\})", line) if part.strip())


def _split_frames(text: str) -> list[tuple[str, bool]]:
    """Tell statements in frames that `regions` knows from those in detector coordinates.

    The latter are handed on as image coordinates.  Where no frame is named, DS9 means physical.
    """
    known: list[str] = []
    on_detector = ["image"]
    target = on_detector
    for statement in _statements(text):
        if _FRAMES.match(statement):
            target = on_detector if statement.lower() in _ON_DETECTOR else known
            if target is known:
                known.append(statement)
        elif not statement.lower().startswith("global"):
            target.append(statement)
    return [("\n".join(lines), lines is on_detector) for lines in (known, on_detector)]


def _parse(text: str, url: str) -> list[Any]:
    """Shapes with an area; anything that is not understood is an error."""
    from regions import Regions

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = list(Regions.parse(text, format="ds9"))
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise InputError(
                url, f"is no file of DS9 regions: {error}", remedy="save it again"
            ) from error
    if caught:
        raise InputError(
            url,
            f"a region that cannot be used: {caught[0].message}",
            remedy="save the file in fk5, icrs, image or physical coordinates, without that shape",
        )
    if any(len(r.vertices) < 3 for r in found if hasattr(r, "vertices")):
        raise InputError(url, "a polygon of fewer than three corners", remedy="save it again")
    kept = [r for r in found if not type(r).__name__.startswith(_NO_AREA)]
    if len(kept) < len(found):
        log.info("%s: %d points, lines or texts mask nothing", url, len(found) - len(kept))
    return kept


def _in_own_plane(region: SkyRegion, included: bool) -> _SkyShape:
    """Put a shape in a plane of its own, upright in the frame in which it is given.

    `regions` counts angles from the axes of the WCS that it projects on, DS9 from those of the
    region's frame: so the shape is projected in its own coordinates, and the plane is turned.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS

    name = "center" if hasattr(region, "center") else "vertices"
    points = getattr(region, name)
    lon, lat = points.spherical.lon, points.spherical.lat
    own = region.copy(**{name: SkyCoord(lon, lat, frame="icrs")})
    x, y, z = points.cartesian.xyz.value.reshape(3, -1).mean(axis=1)
    center = SkyCoord(
        np.arctan2(y, x), np.arctan2(z, np.hypot(x, y)), unit=u.rad, frame=points.frame
    )
    north = center.icrs.position_angle(center.directional_offset_by(0 * u.deg, 1 * u.arcsec).icrs)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = center.spherical.lon.deg, center.spherical.lat.deg
    wcs.wcs.crpix = 1.0, 1.0
    wcs.wcs.cdelt = -_PLANE_STEP, _PLANE_STEP
    c, s = _PLANE_STEP * np.cos(north.rad), _PLANE_STEP * np.sin(north.rad)
    place = float(center.icrs.ra.deg), float(center.icrs.dec.deg)
    return _SkyShape(included, place, (-c, s, s, c), _plain(own.to_pixel(wcs)))


def _plain(region: PixelRegion) -> PixelRegion:
    """Drop a region's sign, which is ours to apply: `contains` would turn it inside out."""
    region.meta["include"] = True
    return region


def _near(shapes: Sequence[_SkyShape], chip: ChipRecord) -> Iterator[_SkyShape]:
    """Shapes that may touch a chip: circles around both are compared, which is cheap."""
    border = unit_vectors(*chip.border())
    middle = border.mean(axis=0)
    middle /= np.linalg.norm(middle)
    extent = np.arccos(np.clip(border @ middle, -1.0, 1.0)).max()
    centers = unit_vectors(*np.array([shape.center for shape in shapes]).reshape(-1, 2).T)
    distances = np.arccos(np.clip(centers @ middle, -1.0, 1.0))
    for shape, distance in zip(shapes, distances, strict=True):
        if distance <= extent + np.radians(shape.radius):
            yield shape


def _fill_from_sky(bad: NDArray[np.bool_], shape: _SkyShape, chip: ChipRecord) -> None:
    chain = chip.distortion.chain_to(shape.center, (1.0, 1.0), shape.cd)
    box = shape.region.bounding_box
    reach = chip_reach(chain, chip.shape)
    for j, i in blocks_reaching(reach, box.iymin, box.iymax + 1, box.ixmin, box.ixmax + 1):
        rows = slice(j * BLOCK[0], min((j + 1) * BLOCK[0], chip.shape[0]))
        columns = slice(i * BLOCK[1], min((i + 1) * BLOCK[1], chip.shape[1]))
        y, x = np.mgrid[rows, columns].astype(np.float64)
        px, py = np.empty(x.size), np.empty(x.size)
        chains.map_points(chain, x.ravel(), y.ravel(), px, py)
        bad[rows, columns] |= _contains(shape.region, px, py).reshape(x.shape)


def _fill_from_pixels(bad: NDArray[np.bool_], shape: _PixelShape, chip: ChipRecord) -> None:
    axes = physical_axes(chip) if shape.on_detector else image_axes(chip)
    box = shape.region.bounding_box  # ends excluded, 0-based
    edges = (box.ixmin, box.ixmax + 1.0, box.iymin, box.iymax + 1.0)
    fill(bad, axes, edges, lambda x, y: _contains(shape.region, x - 1.0, y - 1.0))


def _contains(
    region: PixelRegion, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.bool_]:
    from regions import PixCoord

    x, y = np.broadcast_arrays(x, y)
    found: NDArray[np.bool_] = np.asarray(region.contains(PixCoord(x, y)))
    return found
