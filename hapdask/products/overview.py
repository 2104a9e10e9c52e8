"""A whole layer made small: the weighted mean over squares of pixels, in one pass.

Strategy: blocks stream into sums of at most 2048 squares on a side, so a sky cell of 21954 pixels
is never in memory; every picture of the layer (full, thumbnail, colour) is made from that one
overview.  Not here: how values become light (`stretch`), files (`preview`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from hapdask.kernels.shrinking import add_squares
from hapdask.products.blocks import Block, blocks_of
from hapdask.products.index import frame_of
from hapdask.sky.frame import Frame

FloatArray = npt.NDArray[np.float32]

#: Longest side of an overview, pixels.
MAX_SIDE = 2048

_MEMORY = 64 << 20
#: Detectors whose filters are named by the wavelength in 10 nm.
_INFRARED = {"ir", "nic1", "nic2", "nic3"}
#: Of STIS's apertures, whose names tell none: nm, from the pivots of its Instrument Handbook.
_APERTURES = {
    "ccd": {"50ccd": 574.0, "f28x50lp": 723.0, "f28x50oii": 374.0, "f28x50oiii": 501.0},
    "nuv-mama": {"25mama": 226.0, "f25qtz": 236.0, "f25srf2": 230.0},
    "fuv-mama": {"25mama": 137.0, "f25qtz": 160.0, "f25srf2": 146.0, "f25lya": 122.0},
}


@dataclass(frozen=True, slots=True)
class Overview:
    """A layer averaged over squares of pixels.

    Attributes
    ----------
    image : ndarray of float32, shape (ceil(ny / step), ceil(nx / step))
        Weighted mean; NaN where there are no data.
    step : int
        Side of the squares, pixels.
    frame : Frame
        Of the layer, in its own pixels.
    title : str
        For example ``wfc3_uvis_f475w``.
    unit : str
        Of the image.
    wavelength : float
        See `filter_wavelength`.
    """

    image: FloatArray
    step: int
    frame: Frame
    title: str
    unit: str
    wavelength: float


def make_overview(dataset: xr.Dataset, *, max_side: int = MAX_SIDE) -> Overview:
    """Average a mosaic over squares of pixels, by weight; reads it once.

    Parameters
    ----------
    dataset : Dataset
        With a frame, and ``sci`` and ``wht`` on dims ``y``, ``x``, lazy or not.
    max_side : int
        Longest side of the result.
    """
    sums = Overviewing((dataset.sizes["y"], dataset.sizes["x"]), max_side=max_side)
    for block in blocks_of(dataset[["sci", "wht"]], _MEMORY):
        sums.add(block)
    words = [str(dataset.attrs.get(key, "")) for key in ("instrument", "detector", "filter")]
    unit = str(dataset["sci"].attrs.get("units", ""))
    return sums.overview(frame_of(dataset), (words[0], words[1], words[2]), unit)


class Overviewing:
    """An overview in the making, from blocks in any order and from any thread.

    The bits do not depend on the order: blocks that cut a square are added by their place.

    Parameters
    ----------
    shape : (ny, nx)
        Of the layer.
    max_side : int
        Longest side of the result.
    """

    def __init__(self, shape: tuple[int, int], *, max_side: int = MAX_SIDE) -> None:
        self._step = max(1, math.ceil(max(shape) / max_side))
        self._shape = tuple(-(-n // self._step) for n in shape)
        self._parts: dict[tuple[int, int], npt.NDArray[np.float64]] = {}

    def add(self, block: Block) -> None:
        """Add a block that has ``sci`` and ``wht``."""
        sci, wht = (np.asarray(block.data[name], np.float32) for name in ("sci", "wht"))
        corner = (block.y0 // self._step, block.x0 // self._step)
        y0, x0 = block.y0 - corner[0] * self._step, block.x0 - corner[1] * self._step
        ends = (y0 + sci.shape[0], x0 + sci.shape[1])
        part = np.zeros((2, *(-(-end // self._step) for end in ends)))
        add_squares(sci, wht, y0, x0, self._step, part[0], part[1])
        self._parts[block.y0, block.x0] = part

    def overview(self, frame: Frame, words: tuple[str, str, str], unit: str) -> Overview:
        """Make it, once all blocks are there.

        Parameters
        ----------
        frame : Frame
            Of the layer.
        words : (instrument, detector, filter)
            HAP names, or empty.
        unit : str
            Of ``sci``.
        """
        total, weight = np.zeros((2, *self._shape))
        for (y0, x0), part in sorted(self._parts.items(), key=lambda item: item[0]):
            y, x = y0 // self._step, x0 // self._step
            window = (slice(y, y + part.shape[1]), slice(x, x + part.shape[2]))
            total[window] += part[0]
            weight[window] += part[1]
        image = np.full(total.shape, np.nan, np.float32)
        np.divide(total, weight, out=image, where=weight > 0, casting="same_kind")
        title = "_".join(word for word in words if word)
        return Overview(
            image, self._step, frame, title, unit, filter_wavelength(words[2], words[1])
        )


def filter_wavelength(filter_name: str, detector: str) -> float:
    """Guess the wavelength of a filter from its name.

    Parameters
    ----------
    filter_name : str
        HAP name, for example ``f475w`` or ``f606w-pol0v``.
    detector : str
        HAP name; names of ``ir`` and NICMOS's cameras count in 10 nm.

    Returns
    -------
    float
        nm; infinite where the name does not tell, so that such a filter comes last.

    Examples
    --------
    >>> filter_wavelength("f475w", "uvis"), filter_wavelength("f160w", "ir")
    (475.0, 1600.0)
    """
    known = _APERTURES.get(detector.lower(), {}).get(filter_name.lower())
    if known is not None:
        return known
    match = re.search(r"(?:^|-)f[qr]?(\d{3,4})", filter_name.lower())
    if match is None:
        return math.inf
    return float(match[1]) * (10.0 if detector.lower() in _INFRARED else 1.0)


def resample(overview: Overview, base: Overview) -> FloatArray:
    """Read an overview at the squares of another: bilinear, nearest at the edges of data.

    Returns
    -------
    ndarray of float32
        Shape of ``base.image``; NaN outside.
    """
    if overview.frame == base.frame and overview.step == base.step:
        return overview.image
    from scipy.ndimage import map_coordinates

    counts = (np.arange(n, dtype=np.float64) for n in base.image.shape)
    y, x = np.meshgrid(*((c + 0.5) * base.step - 0.5 for c in counts), indexing="ij")
    there_x, there_y = overview.frame.sky_to_pixel(*base.frame.pixel_to_sky(x, y))
    # a square's centre is half a square from its edge; sky that the frame cannot show is far out
    squares = np.nan_to_num((np.stack([there_y, there_x]) + 0.5) / overview.step - 0.5, nan=-10.0)
    size = np.reshape(overview.image.shape, (2, 1, 1))
    outside = (abs(2 * squares + 1 - size) > size).any(axis=0)
    smooth, nearest = (
        map_coordinates(overview.image, squares, order=order, mode="nearest") for order in (1, 0)
    )
    sampled: FloatArray = np.where(np.isfinite(smooth), smooth, nearest)
    sampled[outside] = np.nan
    return sampled
