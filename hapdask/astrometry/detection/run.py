"""Detection on exposures: one chip after the other, or several at once in threads.

Lives here: which finder runs on which pixels.  Not here: the finders (`stars`, `imagefind`,
`segments`), and what sources are matched with.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection.chip_image import read_image
from hapdask.astrometry.detection.imagefind import find_image_sources
from hapdask.astrometry.detection.psf import expected_psf
from hapdask.astrometry.detection.segments import find_segments
from hapdask.astrometry.detection.stars import find_stars
from hapdask.astrometry.sources import SourceList
from hapdask.config.detection import (
    DetectionParameters,
    ImageFindParameters,
    SegmentParameters,
    load_detection,
)
from hapdask.observe.instruments import instrument_of
from hapdask.observe.masking.attach import open_mask
from hapdask.observe.masking.sources import Masks, list_sources
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord

Mask = NDArray[np.bool_]


def detect_sources(
    record: ExposureRecord,
    parameters: DetectionParameters | None = None,
    *,
    exclude: Masks = (),
    galaxies: bool = False,
    threads: int = 1,
) -> SourceList:
    """Find the point-like sources of an exposure.

    Parameters
    ----------
    record : ExposureRecord
        Its masks are honoured.
    parameters : StarParameters, ImageFindParameters or SegmentParameters, optional
        Of our own detection, TweakReg's or HAP's; default our own for the detector.
    exclude : paths or MaskSources
        DS9 regions and images of pixels that are not to be used, as `attach_masks` takes them.
        Regions need the header's cards: not after `strip`.
    galaxies : bool
        Whether our own detection gives galaxies as well, after the stars of each chip, flagged
        `EXTENDED`.
    threads : int
        Chips at a time; the sources do not depend on it.

    Returns
    -------
    SourceList
        By chip, then brightest first (HAP's: by their brightest pixel).

    Raises
    ------
    InputError
        If the exposure or an exclusion cannot be read.
    """
    chosen = parameters or default_parameters(record)
    opened = [open_mask(source) for source in list_sources(exclude)]

    def of_chip(chip: ChipRecord) -> SourceList:
        bad: Mask | None = None
        for mask in opened:
            more = mask.bad(record, chip) if mask.is_for(record) else None
            if more is not None:
                bad = more if bad is None else bad | more
        return _find(record, chip, chosen, bad, galaxies=galaxies)

    chips: Sequence[ChipRecord] = record.chips
    if threads > 1 and len(chips) > 1:
        with ThreadPoolExecutor(min(threads, len(chips))) as pool:
            lists = list(pool.map(of_chip, chips))
    else:
        lists = [of_chip(chip) for chip in chips]
    return SourceList.joined(record.name, lists)


def default_parameters(record: ExposureRecord, preset: str = "default") -> DetectionParameters:
    """Give a preset's parameters for the detector of an exposure; see `load_detection`."""
    row = instrument_of(record.instrument, record.detector)
    return load_detection(row.instrume, row.detector, preset=preset)[0]


def _find(
    record: ExposureRecord,
    chip: ChipRecord,
    parameters: DetectionParameters,
    bad: Mask | None,
    *,
    galaxies: bool,
) -> SourceList:
    if isinstance(parameters, ImageFindParameters):
        return _find_as_tweakreg(record, chip, parameters, bad)
    asked: dict[str, Any]
    if isinstance(parameters, SegmentParameters):
        asked = {
            "box": parameters.box_size,
            "window": parameters.win_size | 1,
            "estimator": parameters.bkg_estimator,
        }
    else:
        asked = {"box": parameters.box}
    image = read_image(
        record,
        chip,
        good_bits=parameters.good_bits,
        saturated_bits=parameters.saturated_bits or 0,
        excluded=bad,
        **asked,
    )
    if image is None:
        return SourceList.empty(record.name)
    if isinstance(parameters, SegmentParameters):
        scale = chip.idcscale or chip.distortion.pixel_scale
        found = find_segments(image, scale, parameters, record.name, chip.extver)
    else:
        expected = expected_psf(record, chip, parameters.blur)
        found = find_stars(image, expected, parameters, record.name, chip.extver, galaxies=galaxies)
    return found.rescaled(1.0 / record.exptime) if record.exptime > 0 else found


def _find_as_tweakreg(
    record: ExposureRecord, chip: ChipRecord, parameters: ImageFindParameters, bad: Mask | None
) -> SourceList:
    with open_chip(record, chip) as reader:
        rows = reader.read(0, chip.shape[0], errors=False)
    use = np.isfinite(rows.sci)
    sci = np.where(use, rows.sci, np.float32(0.0))
    for mask in (rows.masked, bad):
        if mask is not None:
            use &= ~mask
    if rows.dq is not None and parameters.dqbits is not None:
        use &= (rows.dq & np.uint16(~parameters.dqbits & 0xFFFF)) == 0
    rate = chip.gain / (1.0 if record.unit.endswith("/ s") else record.exptime or 1.0)
    return find_image_sources(sci, use, parameters, record.name, chip.extver, rate)
