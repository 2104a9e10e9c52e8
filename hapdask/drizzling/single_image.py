"""Cosmic rays in one exposure by their own shape, for exposures that overlap with no other.

L.A.Cosmic finds what is sharper than the telescope can make it.  Hubble's stars are hardly wider
than a pixel, so it finds cores of stars as well; here they are given back: a star has light on all
sides of its peak and around them, the track of a particle has not, in one direction at least.

Not here: exposures that can be compared with others (`cosmic_rays`).

Source: van Dokkum 2001, PASP 113, 1420, as astroscrappy has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.rejecting import Rejection, attach_mask
from hapdask.drizzling.weighting import dark_variance, to_electrons
from hapdask.errors import InputError
from hapdask.observe.instruments import instrument_of
from hapdask.observe.masks import mask_folder
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import ChipRows, open_chip
from hapdask.observe.record import ExposureRecord
from hapdask.sky.footprint import Footprint

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Positions on a chip, on each axis, that are looked for in the other exposures.
_SAMPLES = 32
#: Part of an exposure that may overlap with others, and it is alone all the same.
_SHARED = 0.05
#: Of a distance on the sky, degrees.
_ROUNDING = 1e-5
#: Flagged pixels in a square of 3 that make an area, such as a saturated core and its bleeding,
#: and pixels around it whose shape it spoils.
_AREA, _SPOILT = 4, 2
#: Pixels around the peak of a star that are given back.
_CORE = 2
#: Where stars have hardly any light around their peak: noise of a pixel that may hide it.  With it
#: simulated stars of 22 to 26 mag lose 0.4 % of their light on WFPC2's large chips, without it 3 %;
#: two thirds as many hits are found.
_SLACK = 0.8
_ROOT2 = math.sqrt(2.0)


@dataclass(frozen=True, slots=True)
class SingleImageTest:
    """What counts as sharper than a star.

    Attributes
    ----------
    sigclip, sigfrac, objlim : float
        L.A.Cosmic's limits: of the Laplacian in noise, the part of it that holds for neighbours,
        and its contrast with what is smooth on the scale of a star.
    niter : int
        Rounds.
    faintest : float
        Peaks below so much noise are not looked at: noise would make stars of them.
    """

    sigclip: float = 4.5
    sigfrac: float = 0.4
    objlim: float = 8.0
    niter: int = 4
    faintest: float = 8.0


def lone_exposures(exposures: Sequence[ExposureRecord]) -> tuple[bool, ...]:
    """Tell which exposures hardly overlap with any other: nothing to compare them with."""
    footprints = [exposure.footprint for exposure in exposures]
    caps = [footprint.bounding_cap for footprint in footprints]
    vectors = np.array([cap.vector for cap in caps]).reshape(-1, 3)
    radii = np.array([cap.radius for cap in caps])
    alone = []
    for k, exposure in enumerate(exposures):
        apart = np.degrees(np.arccos(np.clip(vectors @ vectors[k], -1.0, 1.0)))
        near = np.flatnonzero(apart <= radii + radii[k] + _ROUNDING)
        others = (footprints[j] for j in near.tolist() if j != k)
        alone.append(_is_alone(exposure, others, footprints[k]))
    return tuple(alone)


def _is_alone(exposure: ExposureRecord, others: Iterable[Footprint], mine: Footprint) -> bool:
    """Look at one neighbour after another, until they share enough: mostly the first does."""
    points = [_sky_of_samples(chip) for chip in exposure.chips]
    shared = [np.zeros(ra.shape, np.bool_) for ra, _ in points]
    for other in others:
        if not other.overlaps(mine):
            continue
        for (ra, dec), seen in zip(points, shared, strict=True):
            seen |= other.contains(ra, dec)
        if np.mean([seen.mean() for seen in shared]) >= _SHARED:
            return False
    return True


def _sky_of_samples(chip: ChipRecord) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = (np.linspace(0.0, n - 1.0, _SAMPLES) for n in chip.shape)
    return chip.distortion.pixel_to_sky(np.tile(x, _SAMPLES), np.repeat(y, _SAMPLES))


def mask_single_images(
    exposures: Sequence[ExposureRecord],
    where: str | Path,
    *,
    good_bits: int | None = 0,
    test: SingleImageTest | None = None,
) -> Rejection:
    """Find cosmic rays in each exposure by itself and attach them as masks.

    One chip is held at a time, with about ten images of its size.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
        Of CCDs; with sky levels if possible.
    where : path
        Folder for the masks.
    good_bits : int or None
        Flags of pixels that are looked at; None for all.
    test : SingleImageTest, optional

    Returns
    -------
    Rejection
        Without the exposures that cannot be read.

    Raises
    ------
    StoreError
        If a mask cannot be written.
    """
    masked, failures = [], []
    folder = mask_folder(where)
    for exposure in exposures:
        try:
            result = exposure
            for chip in exposure.chips:
                mask = find_in_single_image(exposure, chip, good_bits=good_bits, test=test)
                result = attach_mask(result, chip.extver, mask, folder)
        except InputError as error:
            failures.append(error)
        else:
            masked.append(result)
    return Rejection(tuple(masked), tuple(failures))


def find_in_single_image(
    exposure: ExposureRecord,
    chip: ChipRecord,
    *,
    good_bits: int | None = 0,
    test: SingleImageTest | None = None,
) -> Mask:
    """Find the cosmic rays of a chip by their shape.

    Parameters
    ----------
    exposure, chip : ExposureRecord, ChipRecord
    good_bits : int or None
        See `mask_single_images`.
    test : SingleImageTest, optional

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        True = cosmic ray.

    Raises
    ------
    InputError
        If the exposure cannot be read.
    """
    from astroscrappy import detect_cosmics

    test = test or SingleImageTest()
    electrons = to_electrons(exposure, chip)
    with open_chip(exposure, chip) as reader:
        rows = reader.read(0, chip.shape[0])
    unusable = _unusable(rows, good_bits)
    if unusable.all():
        return np.zeros(chip.shape, np.bool_)
    level = chip.sky * electrons or float(np.median(rows.sci[~unusable][::7])) * electrons
    image = rows.sci * np.float32(electrons)
    image[~np.isfinite(image)] = level
    variance = _variance(rows, exposure, chip, image)
    found, _ = detect_cosmics(
        image,
        inmask=unusable,
        invar=variance,
        gain=1.0,
        readnoise=chip.read_noise,
        satlevel=np.inf,
        sigclip=test.sigclip,
        sigfrac=test.sigfrac,
        objlim=test.objlim,
        niter=test.niter,
    )
    facts = instrument_of(exposure.instrument, exposure.detector).chip(chip.chip)
    bright = np.float32(test.faintest) * np.sqrt(variance)
    light = image - np.float32(level)
    slack = 0.0
    if facts.told_from:
        found = _with_a_bright_one(found, light > np.float32(facts.told_from) * np.sqrt(variance))
        slack = _SLACK * math.sqrt(max(level, 0.0) + dark_variance(exposure, chip))
    stars = _stars(light, bright, facts.star, slack)
    mask: Mask = found & ~stars & ~unusable
    return mask


def _variance(rows: ChipRows, exposure: ExposureRecord, chip: ChipRecord, image: Image) -> Image:
    """Variance of every pixel, electrons**2: from ERR where there is one."""
    made: Image = np.maximum(image, np.float32(0.0)) + np.float32(dark_variance(exposure, chip))
    if rows.err is None:
        return made
    given = np.square(rows.err * np.float32(to_electrons(exposure, chip)))
    variance: Image = np.where(given > 0.0, given, made)
    return variance


def _unusable(rows: ChipRows, good_bits: int | None) -> Mask:
    """Pixels without a value or with a flag, and those around areas of flags."""
    from scipy import ndimage

    bad: Mask = ~np.isfinite(rows.sci)
    if rows.masked is not None:
        bad |= rows.masked
    if rows.dq is not None and good_bits is not None:
        bad |= (rows.dq & np.uint16(~good_bits & 0xFFFF)) != 0
    crowd = ndimage.uniform_filter(bad.astype(np.float32), 3, mode="constant") * 9.0
    areas = bad & (crowd > _AREA - 0.5)
    around: Mask = ndimage.binary_dilation(areas, np.ones((3, 3)), iterations=_SPOILT)
    return bad | around


def _with_a_bright_one(found: Mask, bright: Mask) -> Mask:
    """Pixels that touch each other, where one of them is bright: fainter ones may be a star."""
    from scipy import ndimage

    groups, n = ndimage.label(found, np.ones((3, 3)))
    kept = np.zeros(n + 1, np.bool_)
    kept[groups[found & bright]] = True
    result: Mask = kept[groups]
    return result


def _stars(light: Image, bright: Image, least: tuple[float, float, float], slack: float) -> Mask:
    """Cores of stars: around every peak that has light on all its sides."""
    from scipy import ndimage

    peaks = (ndimage.maximum_filter(light, 3) == light) & (light > bright)
    border = _CORE + 1
    peaks[:border] = peaks[-border:] = False
    peaks[:, :border] = peaks[:, -border:] = False
    y, x = np.nonzero(peaks)

    def near(j: int, i: int) -> NDArray[np.float32]:
        return light[y + j, x + i]

    square = sum(near(j, i) for j in (-1, 0, 1) for i in (-1, 0, 1))
    wide = sum(near(j, i) for j in range(-2, 3) for i in range(-2, 3))
    beside = np.minimum(near(0, -1) + near(0, 1), near(-1, 0) + near(1, 0))
    diagonal = np.minimum(near(-1, -1) + near(1, 1), near(-1, 1) + near(1, -1))
    twice = 2.0 * near(0, 0)
    is_star = (
        (beside > least[0] * twice - _ROOT2 * slack)
        & (diagonal > least[1] * twice - _ROOT2 * slack)
        & (wide - square > least[2] * square - 4.0 * slack)
    )
    stars = np.zeros(light.shape, np.bool_)
    stars[y[is_star], x[is_star]] = True
    cores: Mask = ndimage.binary_dilation(stars, np.ones((3, 3)), iterations=_CORE)
    return cores
