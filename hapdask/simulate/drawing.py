"""A scene drawn on a flat-fielded chip.

What lives here: where the sources fall and how bright they are recorded. The profiles themselves
are in ``psf`` and ``galaxies``, the detector's effects in ``readout``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hapdask.simulate.detectors import Passband
from hapdask.simulate.diffraction import Diffraction
from hapdask.simulate.galaxies import add_galaxy, shape_covariance
from hapdask.simulate.geometry import ChipGeometry, FloatArray
from hapdask.simulate.motion import STILL, Motion
from hapdask.simulate.psf import Psf, add_stars
from hapdask.simulate.scene import Scene
from hapdask.simulate.spikes import ANGLES, LENGTH, SHARE, add_spikes, has_spikes

_STEP = 0.5  # pixels between the places at which a drifting image is drawn
_GALAXY_REACH = 12.0  # half-light radii off the chip within which a galaxy still matters


class Sources(NamedTuple):
    """Sources that reach a chip.

    Parameters
    ----------
    source : ndarray of int64, shape (n,)
        Index into the scene.
    x, y : ndarray of float64, shape (n,)
        0-based pixel positions; may be off the chip by the size of the image.
    rate : ndarray of float64, shape (n,)
        Electrons / s at the exposure's sensitivity, as from pixels of nominal area.
    area : ndarray of float64, shape (n,)
        Relative pixel area there (PAM): the chip records rate / area.
    spiked : ndarray of bool, shape (n,)
        Stars drawn with diffraction spikes.
    """

    source: npt.NDArray[np.int64]
    x: FloatArray
    y: FloatArray
    rate: FloatArray
    area: FloatArray
    spiked: npt.NDArray[np.bool_]


class Spikes(NamedTuple):
    """How diffraction spikes lie in an exposure.

    Parameters
    ----------
    roll : float
        Position angle of the telescope's V3 axis, degrees east of north.
    exptime : float
        Seconds; stars too faint to show spikes in it get none.
    """

    roll: float
    exptime: float


def draw_scene(
    scene: Scene,
    geometry: ChipGeometry,
    passband: Passband,
    psf: Psf,
    efficiency: float = 1.0,
    spikes: Spikes | None = None,
    motion: Motion = STILL,
    diffraction: Diffraction | None = None,
) -> tuple[FloatArray, Sources]:
    """Draw the light of a scene on a chip.

    Parameters
    ----------
    scene : Scene
        The true sky.
    geometry : ChipGeometry
        The true map of the chip.
    passband : Passband
        Gives the sources' rates.
    psf : Psf
        Drawn for every source, jitter included.
    efficiency : float
        Sensitivity relative to the passband's.
    spikes : Spikes or None
        None for none.
    motion : Motion
        Every source is drawn along its path.
    diffraction : Diffraction or None
        Images of stars, in place of the PSF.

    Returns
    -------
    light : ndarray of float64, shape (ny, nx)
        Electrons / s: each source sums to its rate over the relative pixel area, because a
        flat-fielded image holds a uniform sky uniform per pixel.
    sources : Sources
        What was drawn, and where it is without any motion.
    """
    light = np.zeros(geometry.shape)
    margin = psf.half_size + _GALAXY_REACH * float(scene.radius.max(initial=0)) / geometry.idcscale
    margin += (motion.jump + motion.trail) / geometry.idcscale
    x, y = geometry.sky_to_pixel(scene.ra, scene.dec, margin)
    source = np.flatnonzero(np.isfinite(x))
    x, y, rate = x[source], y[source], scene.rates(passband)[source] * efficiency
    area = geometry.relative_area(x, y)
    spiked = np.zeros(x.size, bool)
    if spikes is not None:
        spiked = scene.is_star[source] & has_spikes(rate / area * spikes.exptime, geometry.idcscale)
    sources = Sources(source, x, y, rate, area, spiked)
    to_pixel = _sky_axes(scene, geometry, sources, whole=not motion.still)
    for east, north, share in motion.path(_STEP * geometry.idcscale):
        offset = to_pixel @ np.array([east, north])
        moved = sources._replace(x=x + offset[:, 0], y=y + offset[:, 1], rate=rate * share)
        _draw_once(light, scene, moved, to_pixel, psf, spikes, diffraction)
    return light, sources


def _sky_axes(scene: Scene, geometry: ChipGeometry, sources: Sources, *, whole: bool) -> FloatArray:
    """Pixels (x, y) per arcsec east and north at each source, shape (n, 2, 2).

    Zero for stars without spikes unless ``whole``: nothing of them is turned.
    """
    axes = np.zeros((sources.x.size, 2, 2))
    jacobian = geometry.jacobian(sources.x, sources.y)
    needed = sources.spiked | ~scene.is_star[sources.source]
    for k in np.flatnonzero(needed | whole):
        i = sources.source[k]
        axes[k] = np.linalg.inv(jacobian[k]) @ geometry.local_axes(scene.ra[i], scene.dec[i])
    return axes


def _draw_once(
    light: FloatArray,
    scene: Scene,
    sources: Sources,
    to_pixel: FloatArray,
    psf: Psf,
    spikes: Spikes | None,
    diffraction: Diffraction | None,
) -> None:
    """Draw every source at one place, in place."""
    source, x, y, rate, area, spiked = sources
    star, flux = scene.is_star[source], rate / area
    for k in np.flatnonzero(spiked):
        assert spikes is not None
        add_spikes(light, x[k], y[k], flux[k] * SHARE, to_pixel[k] @ _arms(spikes.roll))
    stars = x[star], y[star], (flux * np.where(spiked, 1.0 - SHARE, 1.0))[star]
    if diffraction is None:
        add_stars(light, *stars, psf)
    else:
        diffraction.add_stars(light, *stars)
    for k in np.flatnonzero(~star):
        i = source[k]
        on_sky = shape_covariance(scene.radius[i], scene.axis_ratio[i], scene.position_angle[i])
        covariance = to_pixel[k] @ on_sky @ to_pixel[k].T
        add_galaxy(light, x[k], y[k], flux[k], covariance, str(scene.profile[i]), psf)


def _arms(roll: float) -> FloatArray:
    """Arcsec (east, north) that one length of each arm spans; float64, shape (2, 4)."""
    angles = np.radians(roll + np.array(ANGLES))
    return LENGTH * np.stack([np.sin(angles), np.cos(angles)])
