"""Whether the telescope held still, told from the shapes of an exposure's sources.

A drift draws every star into the same streak: the second moments of many sources share an excess,
L**2 / 12 along one direction.  Galaxies and cosmic rays that are left point anywhere, so the median
over sources knows nothing of them.  What else makes a common direction must not count: pixels that
are not square (between round on the sky and round on the pixels lies every honest image), and
charge left behind along the columns, of which there is none near the amplifier.

The purpose of HAP's ``verify_guiding``; not its way, which looks for straight lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import read_image
from hapdask.astrometry.detection.psf import expected_psf
from hapdask.astrometry.detection.shapes import Shapes, measure_shapes
from hapdask.config.detection import StarParameters, load_detection
from hapdask.observe.instruments import instrument_of
from hapdask.observe.record import ExposureRecord

Floats = NDArray[np.float64]

#: What QUALITY says where guiding failed.
_FAILED = ("gsfail", "tdf-down")
#: Fewest sources that tell anything; shortest trail that counts, arcsec; how sure it must be.
_FEWEST, _SHORTEST, _SURE = 6, 0.075, 4.0
#: Part of the sources that must point the same way within so many degrees, and by how many sigma
#: more of them than by chance.
_AGREE, _WITHIN, _MORE = 0.5, 25.0, 5.0
#: A streak this near to the columns, degrees, is looked at near the amplifier alone: rows up to
#: this part of the chip.
_ALONG, _NEAR = 15.0, 0.35
#: Part of the excess that is there as well, if it is a trail.
_CONSTANT = 0.4


@dataclass(frozen=True, slots=True)
class Guiding:
    """What the shapes of an exposure's sources say.

    Attributes
    ----------
    status : {"good", "trailed", "unknown"}
    reason : str
    length : float, arcsec
        Of the common streak; NaN where there are too few sources.
    angle : float, degrees east of north, 0 to 180
    significance : float
    sources : int
    """

    status: str
    reason: str
    length: float = math.nan
    angle: float = math.nan
    significance: float = 0.0
    sources: int = 0

    @property
    def trailed(self) -> bool:
        """Whether the exposure is to be set aside."""
        return self.status == "trailed"


def check_guiding(record: ExposureRecord, parameters: StarParameters | None = None) -> Guiding:
    """Tell whether an exposure trails, or lost its lock.

    Parameters
    ----------
    record : ExposureRecord
        With its header cards, where QUALITY is to be heard.
    parameters : StarParameters, optional
        Of the detector's flags; default our own.

    Returns
    -------
    Guiding

    Raises
    ------
    InputError
        If the exposure cannot be read.
    """
    quality = str(dict(record.keywords).get("QUALITY", "")).lower()
    said = next((word for word in _FAILED if word in quality), "")
    if said:
        return Guiding("trailed", f"QUALITY of the header says {said.upper()}")
    if parameters is None:
        row = instrument_of(record.instrument, record.detector)
        loaded = load_detection(row.instrume, row.detector)[0]
        assert isinstance(loaded, StarParameters)
        parameters = loaded
    found = []
    for chip in record.chips:
        image = read_image(
            record,
            chip,
            good_bits=parameters.good_bits,
            saturated_bits=parameters.saturated_bits or 0,
            box=parameters.box,
        )
        if image is not None:
            psf = expected_psf(record, chip, parameters.blur)
            found.append(measure_shapes(image, chip, psf))
    return judge_shapes(found)


def judge_shapes(chips: Sequence[Shapes]) -> Guiding:
    """Judge the shapes of the sources of an exposure, by chip."""
    n = sum(len(shapes.plus) for shapes in chips)
    if n < _FEWEST:
        return Guiding("unknown", f"{n} sources have a shape, fewer than {_FEWEST}", sources=n)
    whole = _common(chips)
    if not whole.trailed:
        return whole
    direction = _vector(whole)
    columns = [np.dot(direction, shapes.column) for shapes in chips]
    if max(columns) < math.cos(2.0 * math.radians(_ALONG)):
        return whole
    near = [_part(shapes, shapes.row <= _NEAR) for shapes in chips]
    if sum(len(shapes.plus) for shapes in near) < _FEWEST:
        return whole
    there = _common(near)
    share = (there.length / whole.length) ** 2 * float(np.dot(direction, _vector(there)))
    if share > _CONSTANT:
        return whole
    return Guiding(
        "good",
        "sources are drawn along the columns, but not near the amplifier: charge transfer",
        whole.length,
        whole.angle,
        whole.significance,
        n,
    )


def _common(chips: Sequence[Shapes]) -> Guiding:
    """Measure the excess that all sources share, less what the shape of pixels may make."""
    plus, cross = (
        np.concatenate([getattr(shapes, name) for shapes in chips]) for name in ("plus", "cross")
    )
    middle = np.array([np.median(plus), np.median(cross)])
    scatter = 1.4826 * np.median(np.abs(np.concatenate([plus - middle[0], cross - middle[1]])))
    sizes = [len(shapes.plus) for shapes in chips]
    geometry = np.average([shapes.geometry for shapes in chips], axis=0, weights=sizes)
    share = float(np.clip(middle @ geometry / max(geometry @ geometry, 1e-30), 0.0, 1.0))
    honest = share * geometry
    excess = middle - honest
    size = float(np.hypot(*excess))
    length = math.sqrt(12.0 * size)
    sure = size / max(1.2533 * float(scatter) / math.sqrt(plus.size), 1e-12)
    turn = math.atan2(excess[1], excess[0])
    away = np.angle(np.exp(1j * (np.arctan2(cross - honest[1], plus - honest[0]) - turn))) / 2.0
    agreeing = float(np.mean(np.abs(away) < math.radians(_WITHIN)))
    # plus is east-west: an angle from north through east
    angle = (90.0 - math.degrees(turn) / 2.0) % 180.0
    chance = _WITHIN / 90.0
    more = (agreeing - chance) / math.sqrt(chance * (1.0 - chance) / plus.size)
    trailed = length > _SHORTEST and sure > _SURE and agreeing > _AGREE and more > _MORE
    told = f'{length:.3f}" at {angle:.0f} degrees, {sure:.1f} sigma, {100 * agreeing:.0f} % agree'
    return Guiding(
        "trailed" if trailed else "good",
        f"{plus.size} sources share a streak of {told}" if trailed else f"no common streak: {told}",
        length,
        angle,
        sure,
        plus.size,
    )


def _vector(found: Guiding) -> Floats:
    turn = math.radians(2.0 * (90.0 - found.angle))
    return np.array([math.cos(turn), math.sin(turn)])


def _part(shapes: Shapes, which: NDArray[np.bool_]) -> Shapes:
    return shapes._replace(
        plus=shapes.plus[which], cross=shapes.cross[which], row=shapes.row[which]
    )
