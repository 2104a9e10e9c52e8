"""Exposure records of two chips, and the sources that they see of given stars: no pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.sources import SourceList
from hapdask.observe.distortion import Correction, Distortion
from hapdask.observe.parts import ChipRecord, FileIdentity
from hapdask.observe.record import ExposureRecord
from hapdask.sky.tangent import project

Floats = NDArray[np.float64]
SHAPE = (2051, 4096)


def record(
    crval: tuple[float, float] = (359.999, 71.0),
    *,
    name: str = "ia0a01aaq",
    mjd: float = 57388.0,
) -> ExposureRecord:
    """Two chips of UVIS's size, with a distortion of some pixels."""
    sip_a, sip_b = np.zeros((3, 3)), np.zeros((3, 3))
    sip_a[2, 0], sip_a[1, 1], sip_b[0, 2] = 1.3e-6, 8e-7, -1.5e-6
    step = 0.0396 / 3600.0
    chips = []
    for extver, down in ((1, 0.0), (2, 2090.0)):
        cd = (-0.7 * step, 0.714 * step, 0.714 * step, 0.7 * step)
        distortion = Distortion(SHAPE, crval, (2048.0, 1026.0 - down), cd, sip_a, sip_b)
        chips.append(ChipRecord(extver, 1, SHAPE, distortion, None, None, None))
    return ExposureRecord(
        name=name,
        url="/x",
        identity=FileIdentity(1, "h", "s"),
        instrument="wfc3",
        detector="uvis",
        filter="f606w",
        exptime=1.0,
        expstart=mjd - 0.05,
        expend=mjd + 0.05,
        unit="electron",
        proposal="1",
        visit=name[:6],
        target="",
        suffix="flc",
        wcsname="",
        chips=tuple(chips),
    )


def pixels_of(distortion: Distortion, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
    """0-based pixels of sky positions: the map inverted by iteration."""
    cd = np.reshape(distortion.cd, (2, 2))
    wanted = np.stack(project(ra, dec, *distortion.crval))
    xy = np.linalg.solve(cd, wanted) + np.array(distortion.crpix)[:, None] - 1.0
    for _ in range(12):
        here = np.stack(project(*distortion.pixel_to_sky(*xy), *distortion.crval))
        xy = xy + np.linalg.solve(cd, wanted - here)
    return xy[0], xy[1]


def seen_by(
    header: ExposureRecord,
    truth: Correction,
    ra: Floats,
    dec: Floats,
    rng: np.random.Generator,
    *,
    error: float = 0.02,
    false: int = 10,
) -> SourceList:
    """Sources of an exposure whose header would be right with a correction.

    Parameters
    ----------
    error : float
        Of a position, pixels, about.
    false : int
        Sources on each chip that are no stars.
    """
    lists = []
    for chip in header.corrected(truth).chips:
        x, y = pixels_of(chip.distortion, ra, dec)
        inside = (x > 0) & (x < SHAPE[1] - 1) & (y > 0) & (y < SHAPE[0] - 1)
        x = np.concatenate([x[inside], rng.uniform(0, SHAPE[1], false)])
        y = np.concatenate([y[inside], rng.uniform(0, SHAPE[0], false)])
        sigma = error * rng.uniform(0.5, 2.0, len(x))
        x, y = (v + rng.normal(size=len(v)) * sigma for v in (x, y))
        flux = rng.uniform(10, 1e4, len(x))
        many = len(x)
        lists.append(
            SourceList(
                header.name, np.full(many, chip.extver), x, y, sigma, flux,
                np.full(many, 50.0), np.zeros(many, np.uint16), 2.0,
            )
        )  # fmt: skip
    return SourceList.joined(header.name, lists)
