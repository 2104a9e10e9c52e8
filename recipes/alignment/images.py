"""An image whose sources are the reference stars: TweakReg's ``refimage``.

An exposure, whose sources are found as those of the others are, or an image without distortion
(a mosaic), on which TweakReg's finder works: a mosaic's noise is not that of a detector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hapdask.astrometry.detection import default_parameters, detect_sources
from hapdask.astrometry.detection.imagefind import find_image_sources
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.references.motion import julian_year
from hapdask.astrometry.references.region import Region
from hapdask.astrometry.references.standard import Answer, Assumed
from hapdask.astrometry.sources import COSMIC_RAY, EDGE, SourceList
from hapdask.config.detection import ImageFindParameters
from hapdask.drizzling.reference_frame import read_reference
from hapdask.errors import InputError
from hapdask.observe.exposure import open_exposures
from hapdask.observe.fits import FitsFile, Hdu, read_image_rows, scan_source
from hapdask.observe.record import ExposureRecord
from hapdask.observe.source import open_source
from hapdask.sky.frame import Frame

#: Of sources on an image without a noise model, in its noise; pixels that tell the noise.
_THRESHOLD, _SAMPLE = 5.0, 1_000_000
_NAMED = re.compile(r"(?P<path>.+?)\s*(?:\[\s*(?P<ext>[^\[\]]*?)\s*\])?")

Sky = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class ImageSource:
    """An image as a source of reference stars; its pixels are read when it is first asked.

    Attributes
    ----------
    image : str
        As named.
    like : ExposureRecord
        One of those that are aligned: for the width of stars, and the date of an image that has
        none.
    record : ExposureRecord or None
        The image, where it is an exposure.
    frame : Frame or None
        Its grid, where it is none.
    """

    image: str
    like: ExposureRecord
    record: ExposureRecord | None = None
    frame: Frame | None = None

    is_remote = False

    @property
    def name(self) -> str:
        """Rootname of an exposure, which thus is known among those that are aligned."""
        if self.record is not None:
            return self.record.name
        return PurePosixPath(_split(self.image)[0]).name.split(".")[0]

    def question(self, region: Region) -> str:
        """Tell what is read; the same for every region."""
        return self.image

    def ask(self, region: Region) -> Answer:
        """Find the sources of the whole image.

        Raises
        ------
        InputError
            If it cannot be read, or has no source.
        """
        return self._answer

    @cached_property
    def _answer(self) -> Answer:
        if self.record is not None:
            found = detect_sources(self.record).without(COSMIC_RAY | EDGE)
            scale = self.record.chips[0].distortion.pixel_scale
            return Answer(self._catalog(found, found.sky(self.record), scale, self.record), ())
        assert self.frame is not None
        found = _sources_of_image(self.image, self.like)
        sky = self.frame.pixel_to_sky(found.x, found.y)
        return Answer(self._catalog(found, sky, self.frame.pixel_scale, self.like), ())

    def _catalog(
        self, found: SourceList, sky: Sky, scale: float, dated: ExposureRecord
    ) -> ReferenceCatalog:
        if not len(found):
            raise InputError(
                self.image, "no source is found on it", remedy="give a reference catalog (refcat)"
            )
        error = np.where(np.isfinite(found.error), 1000.0 * scale * found.error, Assumed().error)
        with np.errstate(invalid="ignore", divide="ignore"):
            mag = np.where(found.flux > 0, -2.5 * np.log10(found.flux), np.nan)
        return ReferenceCatalog.of(
            *sky,
            error=np.maximum(error, 0.01),
            epoch=float(julian_year(dated.mid_mjd)),
            mag=mag,
            name=self.name,
            origin=self.image,
        )


def image_source(image: str, exposures: Sequence[ExposureRecord]) -> ImageSource:
    """Make a source of an image; only its headers are read.

    Parameters
    ----------
    image : str
        An exposure (one of those that are aligned, or another), or an undistorted image;
        ``[SCI,1]`` after it names an extension.
    exposures : sequence of ExposureRecord
        Those that are aligned.

    Raises
    ------
    InputError
        If the image cannot be read, or has no WCS.
    """
    path, _ = _split(image)
    for exposure in exposures:
        name = PurePosixPath(exposure.url).name
        if path.lower() == exposure.name or PurePosixPath(path).name == name:
            return ImageSource(image, exposures[0], record=exposure)
    opened = open_exposures(path, select=False)
    if len(opened) == 1:
        return ImageSource(image, exposures[0], record=opened[0])
    return ImageSource(image, exposures[0], frame=read_reference(image))


def _split(image: str) -> tuple[str, str | None]:
    """Part a name into file and extension."""
    named = _NAMED.fullmatch(image.strip())
    return (named["path"], named["ext"]) if named else (image, None)


def _sources_of_image(image: str, like: ExposureRecord) -> SourceList:
    """Find sources as TweakReg does, on the extension that the reference frame is of."""
    path, ext = _split(image)
    with open_source(path) as source:
        hdu = _extension(scan_source(source), ext)
        if hdu is None or len(hdu.shape) != 2:
            raise InputError(path, "there is no image in it", remedy="name an extension: [SCI,1]")
        pixels = np.asarray(read_image_rows(source, hdu, 0, hdu.shape[0]), np.float32)
    use = np.isfinite(pixels)
    if not use.any():
        raise InputError(path, "none of its pixels is finite", remedy="give another image")
    sky, noise = _sky(pixels[use])
    sci = np.where(use, pixels - np.float32(sky), np.float32(0.0))
    usual = default_parameters(like, "tweakreg")
    assert isinstance(usual, ImageFindParameters)
    # TweakReg takes the root of the sky for the noise, and a mosaic may have none
    parameters = replace(usual, computesig=False, skysigma=noise, threshold=_THRESHOLD)
    return find_image_sources(sci, use, parameters, path, 1)


def _sky(values: NDArray[np.float32]) -> tuple[float, float]:
    """Median of an image, and its scatter as that of noise would be."""
    some = values[:: max(1, values.size // _SAMPLE)]
    some = some[some != 0.0] if np.any(some != 0.0) else some  # 0 is no data in many mosaics
    middle = float(np.median(some))
    return middle, max(1.4826 * float(np.median(np.abs(some - middle))), 1e-30)


def _extension(file: FitsFile, ext: str | None) -> Hdu | None:
    if ext is None:
        images = (h for h in file.hdus if h.is_image and len(h.shape) == 2)
        return next((h for h in images if "CRVAL1" in h.header), None)
    if ext.isdecimal():
        return file.hdus[int(ext)] if int(ext) < len(file.hdus) else None
    words = [part.strip() for part in ext.split(",")]
    return file.find(words[0].upper(), int(words[1]) if len(words) > 1 else 1)
