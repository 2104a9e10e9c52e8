"""Pictures of mosaics as PNG: grey from one layer, colour from up to three.

Strategy: blocks stream into a coarse weighted mean of at most 2048 pixels on a side, so that a
whole cell never is in memory; the stretch is asinh (Lupton et al. 2004, PASP 116, 133), set by
the scatter of the sky.  Not here: quick looks in notebooks (`quicklook`), names (`names`).
"""

from __future__ import annotations

import io
import logging
import math
import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from hapdask.errors import StoreError
from hapdask.products.blocks import blocks_of
from hapdask.products.coverage import reduce_blocks, slice_cells
from hapdask.products.objects import storage_errors
from hapdask.sky.frame import Frame

log = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]

#: Longest side of a picture, pixels.
MAX_SIDE = 2048

_MEMORY = 64 << 20
_WHITE = 0.997  # quantile of the pixels that is shown white
_LEAST = 20.0  # and no less than so many scatters of the sky, for fields without sources
_BRIGHT = 10.0  # sources that set the balance of colours, in scatters of the sky
_SOFT = 2.0  # where the stretch turns from linear to logarithmic, in scatters of the sky


@dataclass(frozen=True, slots=True)
class PictureLayer:
    """One layer of a colour picture.

    Parameters
    ----------
    dataset : Dataset
        With ``sci`` and ``wht`` on dims ``y``, ``x``.
    frame : Frame
        Of the Dataset; layers may have different ones.
    wavelength : float
        Of the filter, in any unit that is the same for all layers; see `filter_wavelength`.
    """

    dataset: xr.Dataset
    frame: Frame
    wavelength: float


def filter_wavelength(filter_name: str, detector: str) -> float:
    """Guess the wavelength of a filter from its name.

    Parameters
    ----------
    filter_name : str
        HAP name, for example ``f475w`` or ``f606w-pol0v``.
    detector : str
        HAP name; names of ``ir`` count in 10 nm.

    Returns
    -------
    float
        nm; infinite where the name does not tell, so that such a filter comes last.

    Examples
    --------
    >>> filter_wavelength("f475w", "uvis"), filter_wavelength("f160w", "ir")
    (475.0, 1600.0)
    """
    match = re.search(r"(?:^|-)f[qr]?(\d{3,4})", filter_name.lower())
    if match is None:
        return math.inf
    return float(match[1]) * (10.0 if detector.lower() == "ir" else 1.0)


def write_preview(
    dataset: xr.Dataset, path: str | os.PathLike[str], *, max_side: int = MAX_SIDE
) -> Path:
    """Write a grey picture of a mosaic; it replaces one that is there.

    Parameters
    ----------
    dataset : Dataset
        With ``sci`` and ``wht`` on dims ``y``, ``x``, lazy or not.
    path : path
        The PNG file; north is up where it is up in the frame.
    max_side : int
        Longest side of the picture, pixels; several pixels of the mosaic are averaged.

    Returns
    -------
    Path
        The file.  Pixels without data are transparent.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    image, _ = shrink(dataset, max_side)
    scaled = _stretched(*_normalised(image))
    alpha = np.isfinite(image)
    return _save(np.stack([np.where(alpha, scaled, 0.0), alpha], axis=-1), Path(path))


def write_colour_preview(
    layers: Sequence[PictureLayer], path: str | os.PathLike[str], *, max_side: int = MAX_SIDE
) -> Path:
    """Write a colour picture from up to three layers; it replaces one that is there.

    Parameters
    ----------
    layers : sequence of PictureLayer
        One to three; the shortest wavelength becomes blue, the longest red.  With two, green
        is their mean.  The picture shows the frame of the one with most pixels.
    path : path
        The PNG file.
    max_side : int
        Longest side of the picture, pixels.

    Returns
    -------
    Path
        The file.  Pixels without data in any layer are transparent.

    Raises
    ------
    StoreError
        If there are no or too many layers, or the file cannot be written.
    """
    if not 1 <= len(layers) <= 3:
        raise StoreError(f"{path}: a colour picture is made of 1 to 3 layers, not {len(layers)}")
    base = max(layers, key=lambda layer: layer.frame.shape[0] * layer.frame.shape[1])
    grid = _picture_grid(base.frame, max_side)
    images = []
    for layer in sorted(layers, key=lambda layer: -layer.wavelength):
        image, step = shrink(layer.dataset, max_side)
        if layer.frame != base.frame:
            image = _resampled(image, step, layer.frame, base.frame, grid)
        images.append(image)
    return _save(_composite(images), Path(path))


def shrink(dataset: xr.Dataset, max_side: int) -> tuple[FloatArray, int]:
    """Average a mosaic over squares of pixels, by weight.

    Parameters
    ----------
    dataset : Dataset
        With ``sci`` and ``wht`` on dims ``y``, ``x``, lazy or not.
    max_side : int
        Longest side of the result.

    Returns
    -------
    image : ndarray of float64, shape (ceil(ny / step), ceil(nx / step))
        NaN where there are no data.
    step : int
        Side of the squares, pixels.
    """
    shape = (dataset.sizes["y"], dataset.sizes["x"])
    step = max(1, math.ceil(max(shape) / max_side))
    total, weight = np.zeros((2, *(-(-n // step) for n in shape)))
    for block in blocks_of(dataset[["sci", "wht"]], _MEMORY):
        sci = block.data["sci"].astype(np.float64)
        wht = block.data["wht"].astype(np.float64)
        wht[~(np.isfinite(sci) & (wht > 0))] = 0.0
        cells = slice_cells(block.y0, block.x0, sci.shape, step)
        sci = np.where(wht > 0, sci, 0.0) * wht
        total[cells] += reduce_blocks(np.add, sci, block.y0, block.x0, step)
        weight[cells] += reduce_blocks(np.add, wht, block.y0, block.x0, step)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 0, total / weight, np.nan), step


def _picture_grid(frame: Frame, max_side: int) -> tuple[FloatArray, FloatArray]:
    """Give the pixel positions in a frame of the centres of its picture's pixels: y, x."""
    step = max(1, math.ceil(max(frame.shape) / max_side))
    counts = (np.arange(-(-n // step), dtype=np.float64) for n in frame.shape)
    y, x = ((count + 0.5) * step - 0.5 for count in counts)
    return np.asarray(y), np.asarray(x)


def _resampled(
    image: FloatArray,
    step: int,
    frame: Frame,
    base: Frame,
    grid: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Read a shrunken layer at the picture's pixels: bilinear, nearest at the edges of data."""
    from scipy.ndimage import map_coordinates

    y, x = np.meshgrid(*grid, indexing="ij")
    there_x, there_y = frame.sky_to_pixel(*base.pixel_to_sky(x, y))
    # a cell's centre is half a cell from its edge; sky that the frame cannot show is far outside
    cells = np.nan_to_num((np.stack([there_y, there_x]) + 0.5) / step - 0.5, nan=-10.0)
    size = np.reshape(image.shape, (2, 1, 1))
    outside = (abs(2 * cells + 1 - size) > size).any(axis=0)
    smooth, nearest = (
        map_coordinates(image, cells, order=order, mode="nearest") for order in (1, 0)
    )
    sampled: FloatArray = np.where(np.isfinite(smooth), smooth, nearest)
    sampled[outside] = np.nan
    return sampled


def _normalised(image: FloatArray) -> tuple[FloatArray, float]:
    """Bring the sky to 0 and the brightest pixels to 1; also give the scatter of the sky."""
    finite = image[np.isfinite(image)]
    if not finite.size:
        return image, 1.0
    sky = float(np.median(finite))
    scatter = 1.4826 * float(np.median(np.abs(finite - sky)))
    span = max(float(np.quantile(finite, _WHITE)) - sky, _LEAST * scatter)
    if span <= 0:
        return image - sky, 1.0
    return (image - sky) / span, scatter / span


def _stretched(image: FloatArray, scatter: float) -> FloatArray:
    """Stretch by asinh; one scatter below the sky is black, 1 is white."""
    soft = max(_SOFT * scatter, 1e-3)
    shown: FloatArray = np.arcsinh((image + scatter) / soft) / math.asinh((1.0 + scatter) / soft)
    return shown.clip(0.0, 1.0)


def _composite(images: list[FloatArray]) -> FloatArray:
    """Combine layers, reddest first, into red, green, blue, alpha from 0 to 1.

    The stretch acts on the mean of the layers, so that it keeps the colour of bright sources.
    Where some layers have no data, the others show grey.
    """
    normalised = [_normalised(image) for image in images]
    bands: FloatArray = np.stack([image for image, _ in normalised])
    scatter = float(np.mean([s for _, s in normalised]))
    known: npt.NDArray[np.bool_] = np.isfinite(bands)
    alpha: npt.NDArray[np.bool_] = np.asarray(known.any(axis=0))
    bands = _balanced(bands, known, scatter)
    mean = np.where(known, bands, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    bands = np.where(known, bands, mean)
    if len(bands) == 2:
        bands = np.stack([bands[0], mean, bands[1]])
    elif len(bands) == 1:
        bands = np.repeat(bands, 3, axis=0)
    # one scatter is added to every band, so that the sky is grey and not a noise of colours
    lifted = np.maximum(bands + scatter, 0.0)
    middle = lifted.mean(axis=0)
    shown = lifted * (_stretched(middle - scatter, scatter) / np.maximum(middle, 1e-9))
    shown /= np.maximum(shown.max(axis=0), 1.0)  # too bright for the screen: keep the hue
    return np.concatenate([np.where(alpha, shown, 0.0), alpha[np.newaxis]]).transpose(1, 2, 0)


def _balanced(bands: FloatArray, known: npt.NDArray[np.bool_], scatter: float) -> FloatArray:
    """Scale layers so that the usual source is white: filters differ in depth and efficiency."""
    bright = np.array(known.all(axis=0))
    bright[bright] = bands[:, bright].mean(axis=0) > _BRIGHT * scatter
    if not bright.any():
        return bands
    typical = np.median(bands[:, bright], axis=1)
    if not (typical > 0).all():
        return bands
    scaled: FloatArray = bands * (typical.mean() / typical)[:, np.newaxis, np.newaxis]
    return scaled


def _save(values: FloatArray, path: Path) -> Path:
    """Write values from 0 to 1, shape (ny, nx, channels), as a PNG that appears whole."""
    from PIL import Image

    pixels = np.rint(values[::-1] * 255.0).astype(np.uint8)  # the first row of FITS is lowest
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="png")
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    with storage_errors(str(path)):
        try:
            part.write_bytes(buffer.getvalue())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    log.info("wrote %s", path)
    return path
