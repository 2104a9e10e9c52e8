"""Whether the telescope held still, told from the sources of an exposure.

Three ways to fail, and what each does to every source alike: a drift makes one streak (`streaks`),
jitter one width (`streaks`, and `shaking` where nothing sharp is left), a lock lost and found again
two images (`doubles`).  Charge left behind along the columns makes streaks too, but none near the
amplifier.

The purpose of HAP's ``verify_guiding``; not its way, which looks for straight lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hapdask.astrometry.detection.chip_image import ChipImage, read_image
from hapdask.astrometry.detection.psf import Psf, expected_psf
from hapdask.astrometry.detection.run import detect_sources
from hapdask.astrometry.guiding.doubles import find_double
from hapdask.astrometry.guiding.quadrupoles import WIDEST, measure_quadrupoles
from hapdask.astrometry.guiding.shaking import common_width, measure_widths
from hapdask.astrometry.guiding.shapes import LEAST_SNR, Shapes, measure_shapes
from hapdask.astrometry.guiding.streaks import Streak, common_blur, common_streak
from hapdask.astrometry.sources import COSMIC_RAY, EDGE, SATURATED, SourceList
from hapdask.config.detection import StarParameters, load_detection
from hapdask.observe.instruments import instrument_of
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord

#: Detectors of single photons.
_COUNTERS = ("sbc", "nuv-mama", "fuv-mama")
#: What QUALITY says where guiding failed, and FGSLOCK where it was not fine.
_FAILED, _COARSE = ("gsfail", "tdf-down"), ("gy", "coarse")
#: Fewest sources whose shapes tell anything.
_FEWEST = 5
#: Width of a star (pixels) below which cosmic rays look like it, and the signal to noise then.
_SAMPLED, _FAR_SNR = 0.4, 120.0
#: A streak this near to the columns, degrees, is looked at near the amplifier alone: rows up to
#: this part of the chip.
_ALONG, _NEAR = 15.0, 0.35
#: Part of the excess that is there as well, if it is a trail.
_CONSTANT = 0.4
#: Sources as sharp as a star that make an exposure good: how many of which signal to noise, or else
#: how many of which.  Next where cosmic rays look like stars, and where there are none.
_STARS = ((3, 60.0), (2, 100.0))
_FAR_STARS, _UNHIT_STARS = ((4, _FAR_SNR),), ((3, 40.0), (2, 60.0))
#: So many that are as bright as this: nothing has shaken, and nobody need look.
_BRIGHT_SNR, _MANY = 100.0, 20


@dataclass(frozen=True, slots=True)
class Guiding:
    """What the sources of an exposure say about the telescope.

    Attributes
    ----------
    status : {"good", "trailed", "unknown"}
        Trailed stands for all ways to fail.
    reason : str
        For people; also what FGSLOCK says, where it is not FINE.
    length : float, arcsec
        Of the common streak, or between two images; NaN where there are too few sources.
    angle : float, degrees east of north, 0 to 180
    significance : float
        Of the streak, in its error.
    sources : int
        That have a shape.
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


def check_guiding(
    record: ExposureRecord,
    sources: SourceList | None = None,
    parameters: StarParameters | None = None,
) -> Guiding:
    """Tell whether an exposure trails, shakes, or lost its lock.

    Parameters
    ----------
    record : ExposureRecord
        With its header cards, where QUALITY and FGSLOCK are to be heard.
    sources : SourceList, optional
        Its stars by our own detection, among which second images are looked for; default: they are
        detected.
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
    cards = {key: str(value).lower() for key, value in record.keywords}
    said = next((word for word in _FAILED if word in cards.get("QUALITY", "")), "")
    if said:
        return Guiding("trailed", f"QUALITY of the header says {said.upper()}")
    if parameters is None:
        row = instrument_of(record.instrument, record.detector)
        loaded = load_detection(row.instrume, row.detector)[0]
        assert isinstance(loaded, StarParameters)
        parameters = loaded
    segments, points = _shapes(record, parameters)
    found = judge_shapes(segments)
    if not found.trailed:
        closer = judge_shapes(points)
        found = closer if closer.trailed else found
    if not found.trailed:
        stars = detect_sources(record, parameters) if sources is None else sources
        found = (
            _judge_pairs(record, stars)
            or _judge_widths(record, parameters, stars)
            or _sure_of_good(found, record, parameters, stars)
        )
    lock = cards.get("FGSLOCK", "")
    if any(word in lock for word in _COARSE):
        warned = f"{found.reason}; FGSLOCK of the header says {lock.upper()}"
        found = replace(found, reason=warned)
    return found


def _shapes(
    record: ExposureRecord, parameters: StarParameters
) -> tuple[list[Shapes], list[Shapes]]:
    """Shapes on every chip that can be used: of segments, and of what hardly fills a pixel."""
    segments, points = [], []
    for chip, image, psf in _images(record, parameters):
        # most particles must go
        least = _FAR_SNR if _look_like_hits(record, psf) else LEAST_SNR
        segments.append(measure_shapes(image, chip, psf, least))
        if psf.sigma < WIDEST:
            points.append(measure_quadrupoles(image, chip, psf, least))
    return segments, points


def _is_hit(record: ExposureRecord) -> bool:
    """Whether there are cosmic rays: ramps have lost them, photon counters never see them."""
    return not (record.unit.endswith("/ s") or record.detector in _COUNTERS)


def _look_like_hits(record: ExposureRecord, star: Psf) -> bool:
    """Whether a star is hardly wider than the charge that a particle leaves."""
    return _is_hit(record) and star.sigma < _SAMPLED


def _images(
    record: ExposureRecord, parameters: StarParameters
) -> Iterator[tuple[ChipRecord, ChipImage, Psf]]:
    """Every chip that can be used, one at a time, and what its stars should look like."""
    for chip in record.chips:
        image = read_image(
            record,
            chip,
            good_bits=parameters.good_bits,
            saturated_bits=parameters.saturated_bits or 0,
            box=parameters.box,
        )
        if image is not None:
            yield chip, image, expected_psf(record, chip, parameters.blur)


def judge_shapes(chips: Sequence[Shapes]) -> Guiding:
    """Judge the shapes of the sources of an exposure, by chip."""
    n = sum(len(shapes.plus) for shapes in chips)
    if n < _FEWEST:
        return Guiding("unknown", f"{n} sources have a shape, fewer than {_FEWEST}", sources=n)
    streak, blur = common_streak(chips), common_blur(chips)
    figures = (streak.length, streak.angle, streak.significance, n)
    told = (
        f'{streak.length:.3f}" at {streak.angle:.0f} degrees, {streak.significance:.1f} sigma, '
        f"{streak.agreeing} of {n} sources"
    )
    if streak.sure:
        if not _is_charge(chips, streak):
            return Guiding("trailed", f"sources share a streak of {told}", *figures)
        told = "sources are drawn along the columns, but not near the amplifier: charge transfer"
        return Guiding("good", told, *figures)
    if blur.sure:
        wide = f"{blur.agreeing} of {n} sources are {blur.width:.1f} times as wide as a star"
        return Guiding(
            "trailed", f"the telescope shook: {wide}, and hardly any is a star", *figures
        )
    return Guiding("good", f"no common streak: {told}", *figures)


def _is_charge(chips: Sequence[Shapes], streak: Streak) -> bool:
    """Whether a streak is charge left along the columns: there is none near the amplifier."""
    columns = [float(np.dot(streak.vector, shapes.column)) for shapes in chips]
    if max(columns) < math.cos(2.0 * math.radians(_ALONG)):
        return False
    near = [shapes.take(shapes.row <= _NEAR) for shapes in chips]
    if sum(len(shapes.plus) for shapes in near) < _FEWEST:
        return False
    there = common_streak(near)
    share = (there.length / streak.length) ** 2 * float(np.dot(streak.vector, there.vector))
    return share <= _CONSTANT


def _judge_pairs(record: ExposureRecord, sources: SourceList) -> Guiding | None:
    """Say whether stars have second images; None where they have none."""
    stars = sources.without(SATURATED | EDGE)
    if len(stars) == 0:
        return None
    ra, dec = stars.sky(record)
    north = (dec - dec[0]) * 3600.0
    east = ((ra - ra[0] + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec)) * 3600.0
    scale = min(chip.idcscale or chip.distortion.pixel_scale for chip in record.chips)
    double = find_double(east, north, stars.snr, stars.flux, scale)
    if not double.sure:
        return None
    apart = math.hypot(double.east, double.north)
    angle = math.degrees(math.atan2(double.east, double.north)) % 180.0
    told = f'{double.pairs} sources have a second image {apart:.2f}" away at {angle:.0f} degrees'
    return Guiding("trailed", f"the lock was lost: {told}", apart, angle, 0.0, double.sources)


def _judge_widths(
    record: ExposureRecord, parameters: StarParameters, sources: SourceList
) -> Guiding | None:
    """Say whether all stars are smeared beyond recognition; None where they are not."""
    if _count_stars(sources, _BRIGHT_SNR) >= _MANY:
        return None
    hit = _is_hit(record)
    shaking = common_width(
        [
            measure_widths(image, psf, chip.idcscale or chip.distortion.pixel_scale, hit=hit)
            for chip, image, psf in _images(record, parameters)
        ]
    )
    if not shaking.sure:
        return None
    told = f"{shaking.agreeing} of {shaking.sources} wide sources are round and as wide"
    return Guiding(
        "trailed",
        f'the telescope shook by {shaking.added:.2f}" (rms): {told}',
        sources=shaking.sources,
    )


def _sure_of_good(
    found: Guiding, record: ExposureRecord, parameters: StarParameters, sources: SourceList
) -> Guiding:
    """Say so where hardly any star tells that an exposure is good."""
    stars = [expected_psf(record, chip, parameters.blur) for chip in record.chips]
    rules: tuple[tuple[int, float], ...] = _STARS if _is_hit(record) else _UNHIT_STARS
    if any(_look_like_hits(record, star) for star in stars):
        rules = _FAR_STARS
    enough = any(_count_stars(sources, snr) >= least for least, snr in rules)
    if found.status != "good" or enough:
        return found
    n = _count_stars(sources, rules[0][1])
    return replace(found, status="unknown", reason=f"{found.reason}; only {n} plain stars")


def _count_stars(sources: SourceList, snr: float) -> int:
    plain = sources.without(SATURATED | EDGE | COSMIC_RAY)
    return int(np.count_nonzero(plain.snr > snr))
