"""Exposures that overlap with no other: which they are, and their cosmic rays as masks.

Not here: how cosmic rays are told by their shape (`by_shape`), exposures with partners
(`cosmic_rays`), and the parts of those that no partner covers (`uncovered`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hapdask.drizzling.by_shape import find_in_chip
from hapdask.drizzling.rejecting import Rejection, attach_mask
from hapdask.errors import InputError
from hapdask.observe.masks import mask_folder
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.sky.footprint import Footprint

#: Positions on a chip, on each axis, that are looked for in the other exposures.
_SAMPLES = 32
#: Part of an exposure that may overlap with others, and it is alone all the same.
_SHARED = 0.05
#: Of a distance on the sky, degrees.
_ROUNDING = 1e-5


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
) -> Rejection:
    """Find cosmic rays in each exposure by itself and attach them as masks.

    Some rows of a chip are held at a time.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
        Of CCDs; with sky levels if possible.
    where : path
        Folder for the masks.
    good_bits : int or None
        Flags of pixels that are looked at; None for all.  Saturated ones never are.

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
                mask = find_in_chip(exposure, chip, good_bits=good_bits)
                result = attach_mask(result, chip.extver, mask, folder)
        except InputError as error:
            failures.append(error)
        else:
            masked.append(result)
    return Rejection(tuple(masked), tuple(failures))
