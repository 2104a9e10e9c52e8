"""Pixels of a chip with their weights: what the drizzle kernels take in.

Weights, and so the units of ``wht`` (the sum of weight times overlap):

EXP
    Exposure time, s.  The flux factor plays no part.
ERR
    1 / (err * gain)**2, with ``gain`` from SCI to flux per second and output pixel: the inverse
    variance of the output pixel that one whole drop would make, 1 / (electron / s)**2, or
    1 / (count / s)**2 where SCI is in counts.  ``gain`` holds the chip's flux factor k, so
    weights go with 1 / k**2.  The source's own Poisson noise is in ERR: bright pixels weigh less,
    and fluxes of bright stars come out low where exposures differ.
IVM
    The same unit and rule, from the background alone: read noise, dark and the sky that is
    subtracted, one figure per chip; or a user's map, 1 / (SCI units)**2.  The flat plays no part:
    it would need a reference file, and changes weights by a few per cent.  Where the read noise
    is not known, ERR stands in (`needs_error`); photon counters have none.

Where a file has no ERR, sqrt(electrons + dark + read noise**2) stands in for it: the dark is
subtracted from SCI, its noise is not.  No pixel of a photon counter is surer than one photon:
CALACS writes such an ERR, CALSTIS 0 where no photon came, which would leave the dark sky out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hapdask.config.parameters import DrizzleParameters
from hapdask.drizzling.inputs import ReachingChip, block_columns, block_rows, flux_gain
from hapdask.errors import InputError
from hapdask.kernels.blocks import ChipPixels
from hapdask.kernels.weights import counting_errors, pixel_weights
from hapdask.observe.instruments import INSTRUMENTS
from hapdask.observe.masks import read_ivm_rows
from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import ChipReader, ChipRows
from hapdask.observe.record import ExposureRecord
from hapdask.sky.frame import Frame


def read_pixels(
    reader: ChipReader,
    found: ReachingChip,
    blocks: NDArray[np.int64],
    frame: Frame,
    parameters: DrizzleParameters,
    *,
    errors: bool,
) -> ChipPixels:
    """Read the detector rows and columns of some blocks of a chip, and weigh them.

    Parameters
    ----------
    reader : ChipReader
    found : ReachingChip
    blocks : ndarray of int64, shape (n, 2)
    frame : Frame
    parameters : DrizzleParameters
    errors : bool
        Keep ERR for the variance planes.

    Raises
    ------
    InputError
        If a file cannot be read, or the weight needs errors that cannot be had.
    """
    exposure, chip = found.exposure, found.chip
    first, last = block_rows(blocks, chip)
    left, right = block_columns(blocks, chip)
    rows = reader.read(first, last, (left, right))
    gain = flux_gain(exposure, chip, frame)
    return weigh(rows, first, exposure, chip, gain, parameters, errors, left)


def weigh(
    rows: ChipRows,
    first_row: int,
    exposure: ExposureRecord,
    chip: ChipRecord,
    gain: float,
    parameters: DrizzleParameters,
    errors: bool = True,
    first_column: int = 0,
) -> ChipPixels:
    """Weigh detector rows that have been read.

    Parameters
    ----------
    rows : ChipRows
    first_row : int
        Their first row on the chip.
    exposure, chip : ExposureRecord, ChipRecord
    gain : float
        From SCI to flux per second and output pixel (`flux_gain`).
    parameters : DrizzleParameters
    errors : bool
        Keep ERR for the variance planes.
    first_column : int
        Of the rows, on the chip.

    Raises
    ------
    InputError
        If the weight needs errors that cannot be had, or a user's map cannot be read.
    """
    err = _errors(rows, exposure, chip)
    by_error = parameters.weight == "ERR" or (
        parameters.weight == "IVM" and needs_error(exposure, chip)
    )
    if by_error and err is None:
        raise InputError(
            exposure.url,
            f"it has no ERR, which weight {parameters.weight} needs, and no known read noise",
            ext=f"SCI,{chip.extver}",
            remedy="use weight EXP, or leave the exposure out",
        )
    ivm = None
    if parameters.weight == "IVM" and chip.ivm is not None:
        ivm = read_ivm_rows(chip.ivm, chip.shape, first_row, first_row + rows.sci.shape[0])
        ivm = ivm[:, first_column : first_column + rows.sci.shape[1]]
    weight, doubt = pixel_weights(
        rows.sci,
        err,
        rows.dq,
        rows.masked,
        ivm,
        good_bits=parameters.good_bits,
        doubtful_bits=parameters.doubtful_bits,
        by_error=by_error,
        scale=_scale(exposure, chip, gain, parameters.weight, by_error),
    )
    kept: NDArray[np.float32] = np.empty((0, 0), np.float32)
    if errors:
        kept = np.full(rows.sci.shape, np.nan, np.float32) if err is None else err
    return ChipPixels(first_row, rows.sci, kept, weight, doubt, chip.sky, gain, first_column)


def weigh_by_time(
    rows: ChipRows,
    first: tuple[int, int],
    exposure: ExposureRecord,
    chip: ChipRecord,
    gain: float,
    parameters: DrizzleParameters,
) -> ChipPixels:
    """Weigh pixels by exposure time, without a look at ERR: half of what there is to read.

    Parameters
    ----------
    rows : ChipRows
        ``err`` may be None.
    first : tuple of int
        Detector row and column of their first pixel.
    exposure, chip : ExposureRecord, ChipRecord
    gain : float
        From SCI to flux per second and output pixel.
    parameters : DrizzleParameters
        Of its flags; none may be doubtful.
    """
    weight, doubt = pixel_weights(
        rows.sci,
        None,
        rows.dq,
        rows.masked,
        good_bits=parameters.good_bits,
        doubtful_bits=parameters.doubtful_bits,
        by_error=False,
        scale=exposure.exptime,
    )
    none: NDArray[np.float32] = np.empty((0, 0), np.float32)
    return ChipPixels(first[0], rows.sci, none, weight, doubt, chip.sky, gain, first[1])


def _errors(
    rows: ChipRows, exposure: ExposureRecord, chip: ChipRecord
) -> NDArray[np.float32] | None:
    """ERR of the file, or what stands in for it; None where neither is to be had."""
    electrons, counter = to_electrons(exposure, chip), _counts_photons(exposure)
    photon = np.float32(1.0 / electrons)
    if rows.err is not None:
        return np.where(rows.err == 0, photon, rows.err) if counter else rows.err
    if chip.read_noise == 0 and not counter:
        return None
    made = counting_errors(rows.sci, electrons, dark_variance(exposure, chip))
    return np.maximum(made, photon) if counter else made


def _counts_photons(exposure: ExposureRecord) -> bool:
    row = INSTRUMENTS.get((exposure.instrument.upper(), exposure.detector.upper()))
    return row is not None and row.counts_photons


def to_electrons(exposure: ExposureRecord, chip: ChipRecord) -> float:
    """Electrons of the whole exposure per unit of SCI."""
    return chip.gain * (exposure.exptime if exposure.unit.endswith("/ s") else 1.0)


def electron_gain(exposure: ExposureRecord, chip: ChipRecord, frame: Frame) -> float:
    """Factor from SCI units to electrons per second and output pixel: see `flux_gain`.

    One gain for all chips, the layer's: flux factors have brought their counts to one system.
    """
    last = exposure.chips[-1]
    gain = last.gain / last.flux_factor if last.gain != 1.0 else 1.0
    return flux_gain(exposure, chip, frame) * gain


def dark_variance(exposure: ExposureRecord, chip: ChipRecord) -> float:
    """Variance of a pixel without light, electrons**2: dark, read noise, sky that was removed."""
    removed = max(chip.removed, 0.0) * to_electrons(exposure, chip)
    return max(chip.dark, 0.0) + chip.read_noise**2 + removed


def background_variance(exposure: ExposureRecord, chip: ChipRecord) -> float:
    """Variance of a pixel without sources, (SCI units)**2: read noise, dark and subtracted sky."""
    electrons = to_electrons(exposure, chip)
    return (max(chip.sky, 0.0) * electrons + dark_variance(exposure, chip)) / electrons**2


def needs_error(exposure: ExposureRecord, chip: ChipRecord) -> bool:
    """Whether weight IVM must fall back on ERR: no map, and the background's noise is not known."""
    if chip.ivm is not None or chip.read_noise > 0:
        return False
    return not (_counts_photons(exposure) and background_variance(exposure, chip) > 0)


def _scale(
    exposure: ExposureRecord, chip: ChipRecord, gain: float, weight: str, by_error: bool
) -> float:
    """Give what `pixel_weights` multiplies by."""
    if weight == "EXP":
        return exposure.exptime
    if by_error:
        return gain
    variance = 1.0 if chip.ivm is not None else background_variance(exposure, chip)
    return 1.0 / (variance * gain * gain)
