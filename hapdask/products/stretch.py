"""How flux becomes light: the asinh stretch (Lupton et al. 2004, PASP 116, 133), stated in flux.

Grey for one layer, colour for up to three.  Limits come from the sky's level and scatter in the
overview, and stand in the pictures: a viewer can turn light back into flux.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]

_WHITE = 0.997  # quantile of the pixels that is shown white
_LEAST = 20.0  # and no less than so many scatters of the sky, for fields without sources
_BRIGHT = 10.0  # sources that set the balance of colours, in scatters of the sky
_SOFT = 2.0  # where the stretch turns from linear to logarithmic, in scatters of the sky
_FAINT = 2.0  # where sources have half of their colour, in scatters of the sky
_SHARPEST = 1e-3  # and no less than this part of the whole range


@dataclass(frozen=True, slots=True)
class Stretch:
    """Light = asinh((flux - black) / softening) / asinh((white - black) / softening), from 0 to 1.

    Attributes
    ----------
    sky, scatter : float
        Median flux and its scatter (from the median absolute deviation).
    white : float
        Flux that is shown white.
    """

    sky: float
    scatter: float
    white: float

    @classmethod
    def of_image(cls, image: FloatArray) -> Stretch:
        """Choose limits: black one scatter below the sky, white the brightest 0.3 %.

        Parameters
        ----------
        image : ndarray of floating
            NaN where there are no data.
        """
        finite = image[np.isfinite(image)]
        if not finite.size:
            return cls(0.0, 0.0, 1.0)
        sky = float(np.median(finite))
        scatter = 1.4826 * float(np.median(np.abs(finite - sky)))
        span = max(float(np.quantile(finite, _WHITE)) - sky, _LEAST * scatter)
        return cls(sky, scatter, sky + span if 0.0 < span < math.inf else sky + 1.0)

    @property
    def span(self) -> float:
        """Flux from the sky to white."""
        return self.white - self.sky

    @property
    def black(self) -> float:
        """Flux that is shown black."""
        return self.sky - self.scatter

    @property
    def softening(self) -> float:
        """Flux over which the stretch turns from linear to logarithmic."""
        return max(_SOFT * self.scatter, _SHARPEST * self.span)

    def apply(self, flux: FloatArray) -> FloatArray:
        """Turn flux into light from 0 to 1; NaN stays."""
        top = math.asinh((self.white - self.black) / self.softening)
        light: FloatArray = np.arcsinh((flux - self.black) / self.softening) / top
        return light.clip(0.0, 1.0)

    def text(self) -> dict[str, str]:
        """State the stretch, for people and machines."""
        return {
            "Stretch": "asinh((flux - Black) / Softening) / asinh((White - Black) / Softening)",
            "Black": f"{self.black:.6g}",
            "White": f"{self.white:.6g}",
            "Softening": f"{self.softening:.6g}",
        }


@dataclass(frozen=True, slots=True)
class Composite:
    """Red, green, blue and alpha of up to three layers.

    Attributes
    ----------
    values : ndarray of floating, shape (ny, nx, 4)
        From 0 to 1.
    limits : tuple of (float, float)
        Of every layer as given: sky and unit, which make its level (flux - sky) / unit.
    stretch : Stretch
        Of the mean of the three levels.
    """

    values: FloatArray
    limits: tuple[tuple[float, float], ...]
    stretch: Stretch


def compose(images: Sequence[FloatArray]) -> Composite:
    """Combine layers, reddest first, into a colour picture.

    The stretch acts on the mean of the layers, so that it keeps the colour of bright sources;
    that of faint ones fades into the grey of the sky.  Where some layers have no data, the others
    show grey.

    Parameters
    ----------
    images : sequence of ndarray of floating, shape (ny, nx)
        One to three, on one grid; NaN where there are no data.  Of two, green is the mean.
    """
    stretches = [Stretch.of_image(image) for image in images]
    bands: FloatArray = np.stack(
        [(image - s.sky) / s.span for image, s in zip(images, stretches, strict=True)]
    )
    scatter = float(np.mean([s.scatter / s.span for s in stretches]))
    known: BoolArray = np.isfinite(bands)
    alpha: BoolArray = np.asarray(known.any(axis=0))
    gains = _balance(bands, known, scatter).astype(bands.dtype)
    bands = bands * gains[:, np.newaxis, np.newaxis]
    limits = tuple((s.sky, s.span / g) for s, g in zip(stretches, gains.tolist(), strict=True))
    mean = np.where(known, bands, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    bands = np.where(known, bands, mean)
    if len(bands) == 2:
        bands = np.stack([bands[0], mean, bands[1]])
    elif len(bands) == 1:
        bands = np.repeat(bands, 3, axis=0)
    stretch = Stretch(0.0, scatter, 1.0)
    light = _light(bands, stretch)
    values = np.concatenate([np.where(alpha, light, 0.0), alpha[np.newaxis]]).transpose(1, 2, 0)
    return Composite(values, limits, stretch)


def _light(bands: FloatArray, stretch: Stretch) -> FloatArray:
    """Stretch the mean of the bands, and keep their ratios."""
    # one scatter is added to every band, so that the sky is grey and not a noise of colours
    lifted = np.maximum(bands + stretch.scatter, 0.0)
    middle = lifted.mean(axis=0)
    signal = np.maximum(middle - stretch.scatter, 0.0) ** 2
    colour = signal / (signal + max(_FAINT * stretch.scatter, _SHARPEST) ** 2)  # none in the noise
    ratios = lifted / np.maximum(middle, 1e-9)
    light: FloatArray = stretch.apply(middle - stretch.scatter) * (1 + colour * (ratios - 1))
    light /= np.maximum(light.max(axis=0), 1.0)  # too bright for the screen: keep the hue
    return light


def _balance(bands: FloatArray, known: BoolArray, scatter: float) -> FloatArray:
    """Give factors under which the usual source is white: filters differ in depth and efficiency.

    Returns
    -------
    ndarray of floating, shape (bands,)
    """
    none = np.ones(len(bands))
    bright = np.array(known.all(axis=0))
    bright[bright] = bands[:, bright].mean(axis=0) > _BRIGHT * scatter
    if not bright.any():
        return none
    typical = np.median(bands[:, bright], axis=1)
    if not (typical > 0).all():
        return none
    gains: FloatArray = typical.mean() / typical
    return gains
