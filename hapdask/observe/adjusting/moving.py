"""Moving targets: pointings changed so that the target, not the sky, stands still.

Either as AstroDrizzle does it, by the pixel (`follow_first`), or along a track that the user
gives (`follow_track`).  Not here: reading tracks (`track`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import ParameterError, PlanError
from hapdask.observe.adjusting.track import Track
from hapdask.observe.cards import text_of
from hapdask.observe.record import ExposureRecord

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]

_ARCSEC = 3600.0


def is_moving(exposure: ExposureRecord) -> bool:
    """Whether an exposure's header says that it followed a moving target (MTFLAG)."""
    return "T" in text_of(dict(exposure.keywords), "MTFLAG").upper()


def follow_first(exposures: Sequence[ExposureRecord]) -> tuple[ExposureRecord, ...]:
    """Give all exposures of a moving target the WCS of the first of them.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
        In the order of the run, with their header cards.

    Returns
    -------
    tuple of ExposureRecord
        Exposures of fixed targets as they are.  The telescope is taken to have held the target on
        the same pixels: a dither between the exposures smears it, a track does not.

    Raises
    ------
    PlanError
        If an exposure has a chip that the first has not, or of another size.

    Notes
    -----
    Source: `createImageObjectList` of DrizzlePac 3.11 (facts; no code), which by a slip goes on
    so with exposures whose MTFLAG is blank once one was set.
    """
    first: ExposureRecord | None = None
    out = []
    for exposure in exposures:
        if not is_moving(exposure):
            out.append(exposure)
        elif first is None:
            first = exposure
            out.append(exposure)
        else:
            out.append(_with_wcs_of(first, exposure))
    return tuple(out)


def _with_wcs_of(first: ExposureRecord, exposure: ExposureRecord) -> ExposureRecord:
    theirs = {chip.extver: chip.distortion for chip in first.chips}
    for chip in exposure.chips:
        if chip.extver not in theirs or theirs[chip.extver].shape != chip.shape:
            ny, nx = chip.shape
            raise PlanError(
                f"{exposure.name} is of a moving target (MTFLAG), and its chip SCI,{chip.extver} "
                f"of {nx} x {ny} pixels has no equal in {first.name}, the first such exposure: "
                "leave one of them out, or give the target's track"
            )
    chips = tuple(replace(c, distortion=theirs[c.extver]) for c in exposure.chips)
    old, new = (np.array(c.distortion.crval) for c in (exposure.chips[0], chips[0]))
    offset = np.remainder(new - old + 180.0, 360.0) - 180.0
    shift = offset[0] * np.cos(np.radians(new[1])), offset[1]
    return _told(
        replace(exposure, chips=chips),
        float(np.hypot(*shift)) * _ARCSEC,
        f"onto the WCS of {first.name}",
    )


def follow_track(exposures: Sequence[ExposureRecord], track: Track) -> tuple[ExposureRecord, ...]:
    """Turn every exposure so that a target stays where it was in the first.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
        In the order of the run.
    track : Track

    Returns
    -------
    tuple of ExposureRecord
        The first as it is.  The others are turned as a whole, all chips alike, by the smallest
        rotation of the sphere that brings the target's position in the middle of the exposure to
        that in the middle of the first.

    Raises
    ------
    ParameterError
        If the track does not reach the middle of an exposure.
    """
    reference: Floats | None = None
    out = []
    for exposure in exposures:
        try:
            target = track.at(exposure.mid_mjd)
        except ParameterError as error:
            raise ParameterError(
                f"{exposure.name}: the middle of the exposure, {error}: lengthen the track, or "
                "leave the exposure out"
            ) from None
        if reference is None:
            reference = target
            out.append(exposure)
            continue
        turn = rotation_between(target, reference)
        chips = tuple(replace(c, distortion=c.distortion.rotated(turn)) for c in exposure.chips)
        angle = np.degrees(
            np.arctan2(np.linalg.norm(np.cross(target, reference)), target @ reference)
        )
        out.append(_told(replace(exposure, chips=chips), float(angle) * _ARCSEC, "along the track"))
    return tuple(out)


def rotation_between(start: Floats, end: Floats) -> Floats:
    """Make the smallest rotation that brings one direction to another.

    Parameters
    ----------
    start, end : ndarray of float64, shape (3,)
        Unit vectors, not opposite.

    Returns
    -------
    ndarray of float64, shape (3, 3)

    Notes
    -----
    Source: Rodrigues' formula.
    """
    x, y, z = (float(v) for v in np.cross(start, end))
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1.0 + float(start @ end)))


def _told(exposure: ExposureRecord, arcsec: float, where: str) -> ExposureRecord:
    """Warn of a moved exposure in its verdict."""
    reason = f"moved by {arcsec:.3f} arcsec {where}, to hold the moving target"
    log.info("%s: %s", exposure.name, reason)
    card = ("MTFLAG", "T") if is_moving(exposure) else ("", "")
    return exposure.with_verdict(exposure.verdict.warned(reason, *card))
