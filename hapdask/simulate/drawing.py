"""A scene drawn on a flat-fielded chip.

What lives here: where the sources fall and how bright they are recorded. The profiles themselves
are in ``psf`` and ``galaxies``, the detector's effects in ``readout``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hapdask.simulate.detectors import Passband
from hapdask.simulate.galaxies import add_galaxy, shape_covariance
from hapdask.simulate.geometry import ChipGeometry, FloatArray
from hapdask.simulate.psf import Psf, add_stars
from hapdask.simulate.scene import Scene
from hapdask.simulate.spikes import ANGLES, LENGTH, SHARE, add_spikes, has_spikes

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
        Drawn for every source.
    efficiency : float
        Sensitivity relative to the passband's.
    spikes : Spikes or None
        None for none.

    Returns
    -------
    light : ndarray of float64, shape (ny, nx)
        Electrons / s: each source sums to its rate over the relative pixel area, because a
        flat-fielded image holds a uniform sky uniform per pixel.
    sources : Sources
        What was drawn.
    """
    light = np.zeros(geometry.shape)
    margin = psf.half_size + _GALAXY_REACH * float(scene.radius.max(initial=0)) / geometry.idcscale
    x, y = geometry.sky_to_pixel(scene.ra, scene.dec, margin)
    source = np.flatnonzero(np.isfinite(x))
    x, y, rate = x[source], y[source], scene.rates(passband)[source] * efficiency
    area = geometry.relative_area(x, y)
    star = scene.is_star[source]
    jacobian = geometry.jacobian(x, y)
    flux, spiked = rate / area, np.zeros(x.size, bool)
    if spikes is not None:
        spiked = star & has_spikes(flux * spikes.exptime, geometry.idcscale)
        for k in np.flatnonzero(spiked):
            axes = geometry.local_axes(scene.ra[source[k]], scene.dec[source[k]])
            arms = np.linalg.inv(jacobian[k]) @ axes @ _arms(spikes.roll)
            add_spikes(light, x[k], y[k], flux[k] * SHARE, arms)
    add_stars(light, x[star], y[star], (flux * np.where(spiked, 1.0 - SHARE, 1.0))[star], psf)
    for k in np.flatnonzero(~star):
        i = source[k]
        to_pixel = np.linalg.inv(jacobian[k]) @ geometry.local_axes(scene.ra[i], scene.dec[i])
        on_sky = shape_covariance(scene.radius[i], scene.axis_ratio[i], scene.position_angle[i])
        covariance = to_pixel @ on_sky @ to_pixel.T
        add_galaxy(light, x[k], y[k], flux[k], covariance, str(scene.profile[i]), psf)
    return light, Sources(source, x, y, rate, area, spiked)


def _arms(roll: float) -> FloatArray:
    """Arcsec (east, north) that one length of each arm spans; float64, shape (2, 4)."""
    angles = np.radians(roll + np.array(ANGLES))
    return LENGTH * np.stack([np.sin(angles), np.cos(angles)])
