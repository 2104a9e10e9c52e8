"""Where the telescope points: attitude, dither, and the known error of the header's WCS.

What lives here: rigid rotations of a template's chips on the sphere. No distortion (see
``geometry``) and no pixels.

The telescope is a rigid body. A template gives, for one real attitude, the direction of its
aperture and the TAN frame (CRVAL, CD) of each chip; a new attitude is one rotation of them all,
so the chips keep their exact places to each other anywhere on the sky, poles included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from hapdask.errors import ParameterError
from hapdask.simulate.templates import Template

FloatArray = npt.NDArray[np.float64]
ARCSEC = math.radians(1.0 / 3600.0)
_OF_CHIP = {"RA_APER": "CRVAL1", "DEC_APER": "CRVAL2", "PA_APER": "ORIENTAT"}


@dataclass(frozen=True, slots=True)
class PointingError:
    """Known error of a header's WCS: the true sky moved rigidly.

    Parameters
    ----------
    east, north : float
        Shift of the header's positions against the truth, arcsec on the sky.
    rotation : float
        Rotation about the target, degrees, positive from north to east.
    """

    east: float = 0.0
    north: float = 0.0
    rotation: float = 0.0


@dataclass(frozen=True, slots=True)
class Pointing:
    """One pointing of the telescope.

    Parameters
    ----------
    ra, dec : float
        The target, ICRS degrees. It falls on the aperture's reference point, moved by `dither`.
    roll : float
        Position angle of the telescope's V3 axis at the target, degrees east of north. (PA_V3 of
        the header is the same angle at the V1 axis, some arcminutes away.)
    date : str
        UT of the start of the exposure, ISO 8601.
    dither : tuple of float
        POSTARG1 and POSTARG2, arcsec: the target is displaced so much along the aperture's x, y.
    error : PointingError
        Error put into the header's WCS; the truth keeps the true one.
    aligned : bool
        Whether the header claims a fit to Gaia (WCSNAME, RMS_RA, ...), as SVM files do.
    """

    ra: float
    dec: float
    roll: float = 0.0
    date: str = "2020-01-01T00:00:00"
    dither: tuple[float, float] = (0.0, 0.0)
    error: PointingError = PointingError()
    aligned: bool = True

    def __post_init__(self) -> None:
        error = (self.error.east, self.error.north, self.error.rotation)
        figures = (self.ra, self.dec, self.roll, *self.dither, *error)
        if not all(map(math.isfinite, figures)) or abs(self.dec) > 90.0:
            raise ParameterError(
                f"pointing ra={self.ra}, dec={self.dec}, roll={self.roll}, dither={self.dither}, "
                f"error={error}: give finite numbers with dec within -90 to 90"
            )
        try:
            naive = datetime.fromisoformat(self.date).tzinfo is None
        except ValueError:
            naive = False
        if not naive:
            raise ParameterError(
                f"date {self.date!r} is not ISO 8601 in UT, like '2020-01-31T23:59:00'"
            )


@dataclass(frozen=True, slots=True)
class TangentFrame:
    """The linear part of one chip's WCS.

    Parameters
    ----------
    crval : tuple of float
        RA, Dec, degrees.
    cd : ndarray of float64, shape (2, 2)
        Degrees / pixel.
    """

    crval: tuple[float, float]
    cd: FloatArray

    @property
    def orientat(self) -> float:
        """Position angle of the y axis, degrees east of north."""
        return math.degrees(math.atan2(self.cd[0, 1], self.cd[1, 1]))

    def rotated(self, rotation: FloatArray) -> TangentFrame:
        """Return the frame carried by a rotation of the sphere (3x3 matrix)."""
        old, new_axis = triad(*self.crval), rotation @ direction(*self.crval)
        crval = position(new_axis)
        new = triad(*crval)
        # CD rows are along (east, north) of the tangent point: re-express them in the new pair.
        turn = new[:, 1:].T @ rotation @ old[:, 1:]
        return TangentFrame(crval, turn @ self.cd)


@dataclass(frozen=True, slots=True)
class Attitude:
    """The header-ready angles and chip frames of one pointing.

    Parameters
    ----------
    frames : dict
        `TangentFrame` of each chip by EXTVER.
    aperture : tuple of float
        RA, Dec of the aperture's reference point, degrees.
    pa_aperture : float
        Position angle of the aperture's y axis there, degrees.
    pa_v3 : float
        Position angle of V3 at V1, degrees in 0 to 360.
    """

    frames: dict[int, TangentFrame]
    aperture: tuple[float, float]
    pa_aperture: float
    pa_v3: float


def direction(ra: float, dec: float) -> FloatArray:
    """Make the unit vector of a position in degrees; ndarray of float64, shape (3,)."""
    a, d = math.radians(ra), math.radians(dec)
    return np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])


def position(vector: FloatArray) -> tuple[float, float]:
    """RA (0 to 360) and Dec in degrees of a vector."""
    x, y, z = (float(v) for v in vector)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def triad(ra: float, dec: float) -> FloatArray:
    """Columns: direction, local east, local north; float64, shape (3, 3). Fit for the poles."""
    a, d = math.radians(ra), math.radians(dec)
    east = np.array([-math.sin(a), math.cos(a), 0.0])
    north = np.array([-math.sin(d) * math.cos(a), -math.sin(d) * math.sin(a), math.cos(d)])
    return np.stack([direction(ra, dec), east, north], axis=1)


def attitude(template: Template, pointing: Pointing, *, truth: bool) -> Attitude:
    """Place a template's chips on the sky.

    Parameters
    ----------
    template : Template
        Real chips at their real attitude.
    pointing : Pointing
        Where to point.
    truth : bool
        True for the true attitude, False for the header's (with ``pointing.error``).

    Returns
    -------
    Attitude
    """
    old = _template_attitude(template)
    old_aperture = _aperture(template)
    # the point of the aperture that must hold the target
    pa_aperture = _aperture_angle(template)
    held = _offset(old_aperture, pa_aperture, pointing.dither)
    old_axes = _axes_at(held, old[:, 2])
    new_axes = _spin(triad(pointing.ra, pointing.dec), pointing.roll)
    rotation = new_axes @ old_axes.T
    if not truth:
        rotation = error_rotation(pointing) @ rotation
    frames = {
        ver: _frame_of(template.headers["SCI", ver]).rotated(rotation) for ver in template.chips
    }
    aperture = position(rotation @ old_aperture)
    y_axis = _tangent(old_aperture, pa_aperture)
    v = rotation @ old
    return Attitude(
        frames=frames,
        aperture=aperture,
        pa_aperture=_position_angle(rotation @ y_axis, aperture),
        pa_v3=_position_angle(v[:, 2], position(v[:, 0])) % 360.0,
    )


def error_rotation(pointing: Pointing) -> FloatArray:
    """Rotation of the sphere from true to header positions; float64, shape (3, 3)."""
    axes = triad(pointing.ra, pointing.dec)
    east, north = pointing.error.east * ARCSEC, pointing.error.north * ARCSEC
    turned = _spin(axes, pointing.error.rotation)
    # moving the axis east turns it about north, moving it north turns it about minus east
    moved = _about(axes[:, 2] * east - axes[:, 1] * north)
    return moved @ turned @ axes.T


def _frame_of(header: Mapping[str, float]) -> TangentFrame:
    cd = np.array([[float(header[f"CD{i}_{j}"]) for j in (1, 2)] for i in (1, 2)])
    return TangentFrame((float(header["CRVAL1"]), float(header["CRVAL2"])), cd)


def _aperture(template: Template) -> FloatArray:
    header = template.headers["SCI", 1]
    return direction(*(float(header[_told(header, key)]) for key in ("RA_APER", "DEC_APER")))


def _aperture_angle(template: Template) -> float:
    header = template.headers["SCI", 1]
    return float(header[_told(header, "PA_APER")])


def _told(header: Mapping[str, float], key: str) -> str:
    """Name of a card about the aperture; WFPC2 has none, so its aperture is the first chip's."""
    return key if key in header else _OF_CHIP[key]


def _template_attitude(template: Template) -> FloatArray:
    """Columns V1, V2, V3 on the sky, from PA_V3 and the place of the first chip in V2, V3."""
    header = template.headers["SCI", 1]
    crval = (float(header["CRVAL1"]), float(header["CRVAL2"]))
    v2, v3 = (float(header[f"IDCV{i}REF"]) * ARCSEC for i in (2, 3))
    body = np.array([math.cos(v2) * math.cos(v3), math.sin(v2) * math.cos(v3), math.sin(v3)])
    body_axes = _axes_at(body, np.array([0.0, 0.0, 1.0]))
    wanted = float(template.headers["PRIMARY", 1]["PA_V3"])
    roll = wanted
    for _ in range(20):  # PA_V3 is told at V1, the chip lies elsewhere: converges at once
        axes = _spin(triad(*crval), roll) @ body_axes.T
        found = _position_angle(axes[:, 2], position(axes[:, 0]))
        roll += math.remainder(wanted - found, 360.0)
    return axes


def _axes_at(point: FloatArray, pole: FloatArray) -> FloatArray:
    """Columns: point, "east" and "north" there, north towards the given pole."""
    north = pole - point * (point @ pole)
    north /= np.linalg.norm(north)
    return np.stack([point, np.cross(north, point), north], axis=1)


def _spin(axes: FloatArray, angle: float) -> FloatArray:
    """Turn the last two columns of a triad so that north goes to position angle `angle`."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    point, east, north = axes.T
    return np.stack([point, c * east - s * north, s * east + c * north], axis=1)


def _tangent(point: FloatArray, angle: float) -> FloatArray:
    """Make the unit tangent vector at a point, towards a position angle in degrees."""
    return _spin(triad(*position(point)), angle)[:, 2]


def _offset(point: FloatArray, pa_y: float, offset: tuple[float, float]) -> FloatArray:
    """Move a point by arcsec along the aperture's x (PA of y - 90) and y axes."""
    dx, dy = (value * ARCSEC for value in offset)
    moved = point + dx * _tangent(point, pa_y - 90.0) + dy * _tangent(point, pa_y)
    return np.asarray(moved / np.linalg.norm(moved))


def _position_angle(vector: FloatArray, at: tuple[float, float]) -> float:
    _, east, north = triad(*at).T
    return math.degrees(math.atan2(float(vector @ east), float(vector @ north)))


def _about(vector: FloatArray) -> FloatArray:
    """Rotation matrix about a vector by its length in radians (Rodrigues' formula)."""
    angle = float(np.linalg.norm(vector))
    if angle == 0.0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    turned = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)
    return np.asarray(turned)
