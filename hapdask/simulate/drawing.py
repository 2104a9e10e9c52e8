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
        Electrons / s, as from pixels of nominal area.
    area : ndarray of float64, shape (n,)
        Relative pixel area there (PAM): the chip records rate / area.
    """

    source: npt.NDArray[np.int64]
    x: FloatArray
    y: FloatArray
    rate: FloatArray
    area: FloatArray


def draw_scene(
    scene: Scene, geometry: ChipGeometry, passband: Passband, psf: Psf
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
    x, y, rate = x[source], y[source], scene.rates(passband)[source]
    area = geometry.relative_area(x, y)
    star = scene.is_star[source]
    add_stars(light, x[star], y[star], (rate / area)[star], psf)
    jacobian = geometry.jacobian(x, y)
    for k in np.flatnonzero(~star):
        i = source[k]
        to_pixel = np.linalg.inv(jacobian[k]) @ geometry.local_axes(scene.ra[i], scene.dec[i])
        on_sky = shape_covariance(scene.radius[i], scene.axis_ratio[i], scene.position_angle[i])
        covariance = to_pixel @ on_sky @ to_pixel.T
        add_galaxy(light, x[k], y[k], rate[k] / area[k], covariance, str(scene.profile[i]), psf)
    return light, Sources(source, x, y, rate, area)
