"""A chip as detection sees it: electrons, noise, usable pixels, and a smooth background.

Lives here: reading a chip through its record, and stamps around positions.  Not here: what is a
star (`stars`), shapes (`psf`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hapdask.observe.parts import ChipRecord
from hapdask.observe.pixels import open_chip
from hapdask.observe.record import ExposureRecord

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

#: The background is measured on every third pixel of every third row: enough of them, soon done.
_STEP = 3
#: Largest share of a box's pixels that may be unusable, per cent.
_EXCLUDED = 80.0
#: Noise of a pixel is at least this part of the scatter around it.
_LEAST_NOISE = 0.9


class Stamps(NamedTuple):
    """Square cutouts around positions; what lies off the chip is not used.

    Attributes
    ----------
    x0, y0 : ndarray of int64, shape (n,)
        First column and row of each on the chip.
    light : ndarray of float64, shape (n, size, size), electrons
        Above the background.
    variance : ndarray of float64, same shape, electrons**2
        Of the background and the detector alone.
    use : ndarray of bool, same shape
    """

    x0: Indices
    y0: Indices
    light: Floats
    variance: Floats
    use: Mask

    def take(self, which: NDArray[Any] | slice) -> Stamps:
        """Keep some."""
        kept: Any = (array[which] for array in self)
        return Stamps(*kept)


@dataclass(frozen=True)
class Background:
    """Level and noise in boxes; between their centres they run straight.

    Attributes
    ----------
    level, noise : ndarray of float64, shape (rows, columns), electrons
    box : int
        Side of a box, pixels.
    """

    level: Floats
    noise: Floats
    box: int

    def at(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Level and noise at positions, electrons."""
        from scipy.ndimage import map_coordinates

        middle = (self.box - 1) / 2
        where = [(y - middle) / self.box, (x - middle) / self.box]
        level, noise = (
            map_coordinates(mesh, where, order=1, mode="nearest")
            for mesh in (self.level, self.noise)
        )
        return level, noise

    def boxes(self, shape: tuple[int, int]) -> tuple[Indices, Indices]:
        """Box of every row, and of every column, of a chip: where level and noise run in steps."""
        rows, columns = (
            np.minimum(np.arange(size) // self.box, count - 1)
            for size, count in zip(shape, self.level.shape, strict=True)
        )
        return rows, columns


@dataclass(frozen=True)
class ChipImage:
    """Pixels of a chip in electrons, with their noise.

    Attributes
    ----------
    electrons : ndarray of float32, shape (ny, nx)
        Of the whole exposure; finite.
    err : ndarray of float32 or None, same shape, electrons
        ERR of the file.
    usable : ndarray of bool, same shape
        Neither flagged nor masked nor saturated.
    saturated : ndarray of bool, same shape
    detector_variance : float, electrons**2
        Read noise and dark of a pixel; used where there is no ERR.
    background : Background
    scale : float
        Electrons per unit of SCI.
    """

    electrons: Image
    err: Image | None
    usable: Mask
    saturated: Mask
    detector_variance: float
    background: Background
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ny, nx = self.electrons.shape
        return ny, nx

    def stamps(self, x: Indices, y: Indices, half: int) -> Stamps:
        """Cut squares of ``2 half + 1`` pixels around pixels of the chip."""
        side = np.arange(-half, half + 1)
        rows = (y[:, None] + side)[:, :, None]
        columns = (x[:, None] + side)[:, None, :]
        ny, nx = self.shape
        inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
        rows, columns = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
        level, noise = self.background.at(x.astype(float), y.astype(float))
        value = self.electrons[rows, columns].astype(np.float64)
        least = np.square(_LEAST_NOISE * noise)[:, None, None]
        sky = np.maximum(level, 0.0)[:, None, None]
        if self.err is None:
            variance = np.broadcast_to(self.detector_variance + sky, value.shape)
        else:
            # ERR holds the pixel's own photons, which the model of the star is to bring again
            given = np.square(self.err[rows, columns].astype(np.float64))
            variance = np.nan_to_num(given - np.maximum(value, 0.0), posinf=0.0) + sky
        return Stamps(
            x - half,
            y - half,
            value - level[:, None, None],
            np.maximum(variance, np.maximum(least, 1e-3)),
            self.usable[rows, columns] & inside,
        )


def read_image(
    record: ExposureRecord,
    chip: ChipRecord,
    *,
    good_bits: int | None,
    saturated_bits: int,
    box: int,
    window: int = 3,
    estimator: str = "MedianBackground",
    excluded: Mask | None = None,
) -> ChipImage | None:
    """Read a chip and measure its background.

    Parameters
    ----------
    record, chip : ExposureRecord, ChipRecord
        Masks of the record are honoured.
    good_bits : int or None
        DQ bits that do no harm; None does not look at DQ, but for saturation.
    saturated_bits : int
        DQ bits of saturated pixels.
    box : int
        Side of the boxes of the background, pixels.
    window : int
        Boxes whose median each box of the background becomes.
    estimator : str
        Of photutils: how the level of a box is told.
    excluded : ndarray of bool, shape of the chip, optional
        Pixels that are not to be used.

    Returns
    -------
    ChipImage or None
        None where no pixel can be used.

    Raises
    ------
    InputError
        If the exposure cannot be read.
    """
    with open_chip(record, chip) as reader:
        rows = reader.read(0, chip.shape[0])
    scale = chip.gain * (record.exptime if record.unit.endswith("/ s") else 1.0)
    bad = ~np.isfinite(rows.sci)
    electrons = rows.sci if scale == 1.0 else rows.sci * np.float32(scale)
    if bad.any():
        electrons[bad] = 0.0
    err = rows.err if rows.err is None or scale == 1.0 else rows.err * np.float32(scale)
    saturated = np.zeros(chip.shape, np.bool_)
    for mask in (rows.masked, excluded):
        if mask is not None:
            bad |= mask
    if rows.dq is not None:
        saturated = (rows.dq & np.uint16(saturated_bits)) != 0
        saturated &= ~bad
        if good_bits is not None:
            bad |= (rows.dq & np.uint16(~(good_bits | saturated_bits) & 0xFFFF)) != 0
    usable = ~(bad | saturated)
    background = _background(electrons, usable, box, window, estimator)
    if background is None:
        return None
    removed = max(chip.removed, 0.0) * scale
    variance = chip.read_noise**2 + max(chip.dark, 0.0) + removed
    return ChipImage(electrons, err, usable, saturated, variance, background, scale)


def _background(
    electrons: Image, usable: Mask, box: int, window: int, estimator: str
) -> Background | None:
    """Level and noise without sources; None where too few pixels can be used."""
    from astropy.stats import SigmaClip
    from photutils import background

    coarse = max(box // _STEP, 8)
    sample, bad = electrons[::_STEP, ::_STEP], ~usable[::_STEP, ::_STEP]
    if np.mean(~bad) < 1.0 - _EXCLUDED / 100.0:
        return None
    # some box always has so few bad pixels: the mean has
    made = background.Background2D(
        sample,
        tuple(min(coarse, n) for n in sample.shape),
        mask=bad,
        exclude_percentile=_EXCLUDED,
        sigma_clip=SigmaClip(3.0, maxiters=5),
        bkg_estimator=getattr(background, estimator)(),
        filter_size=window if min(sample.shape) >= window * coarse else 1,
    )
    level = np.asarray(made.background_mesh, np.float64)
    return Background(level, np.asarray(made.background_rms_mesh, np.float64), coarse * _STEP)
