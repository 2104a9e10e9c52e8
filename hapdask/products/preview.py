"""Pictures of mosaics as files: grey from one layer, colour from up to three, and thumbnails.

JPEG as the archive's previews, PNG where no light may be lost: there, pixels without data are
transparent.  Both state in words how flux became light.  Not here: the mean that is shown
(`overview`), the light (`stretch`), quick looks in notebooks (`quicklook`), names (`names`).
"""

from __future__ import annotations

import io
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hapdask.errors import StoreError
from hapdask.products.objects import storage_errors
from hapdask.products.overview import Overview, resample
from hapdask.products.stretch import Stretch, compose

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

#: Longest side of a thumbnail, pixels.
THUMBNAIL_SIDE = 128

_QUALITY = 90
_BANDS = {1: ("Grey",), 2: ("Red", "Blue"), 3: ("Red", "Green", "Blue")}


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels and what is said of them.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (ny, nx, 2 or 4)
        Grey or red, green, blue; then alpha: 0 where there are no data.  Top row first.
    text : mapping of str to str
        Goes into the file.
    """

    pixels: npt.NDArray[np.uint8]
    text: Mapping[str, str]

    def thumbnail(self, side: int = THUMBNAIL_SIDE) -> Picture:
        """Make it small; a picture that is small already stays as it is."""
        from PIL import Image

        ny, nx = self.pixels.shape[:2]
        if max(ny, nx) <= side:
            return self
        size = (max(1, round(nx * side / max(ny, nx))), max(1, round(ny * side / max(ny, nx))))
        small = Image.fromarray(self.pixels).resize(size, Image.Resampling.BOX)
        text = dict(self.text) | {"Thumbnail": f"of a picture of {nx} x {ny} pixels"}
        return Picture(np.asarray(small), text)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it; a file that is there is replaced at once and whole.

        Parameters
        ----------
        path : path
            ``.png`` or ``.jpg``; in JPEG, pixels without data are black.

        Raises
        ------
        StoreError
            If the file cannot be written, or is of another kind.
        """
        path = Path(path)
        if path.suffix not in _ENCODERS:
            raise StoreError(f"{path}: a picture is {' or '.join(_ENCODERS)}")
        data = _ENCODERS[path.suffix](self)
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        with storage_errors(str(path)):
            try:
                part.write_bytes(data)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        log.info("wrote %s", path)
        return path


def grey_picture(overview: Overview) -> Picture:
    """Make the picture of one layer; north is up where it is up in the frame."""
    stretch = Stretch.of_image(overview.image)
    alpha = np.isfinite(overview.image)
    light = np.where(alpha, stretch.apply(overview.image), 0.0)
    about = {"Layer": overview.title, "Unit": overview.unit, **stretch.text()}
    return Picture(_bytes(np.stack([light, alpha], axis=-1)), _said(overview, about))


def colour_picture(overviews: Sequence[Overview]) -> Picture:
    """Make the picture of up to three layers.

    Parameters
    ----------
    overviews : sequence of Overview
        One to three; the shortest wavelength becomes blue, the longest red.  With two, green is
        their mean.  The picture shows the frame of the one with most pixels.

    Returns
    -------
    Picture
        Pixels without data in any layer are transparent.

    Raises
    ------
    StoreError
        If there are no or too many layers.
    """
    if not 1 <= len(overviews) <= 3:
        raise StoreError(f"a colour picture is made of 1 to 3 layers, not {len(overviews)}")
    base = max(overviews, key=lambda o: o.frame.shape[0] * o.frame.shape[1])
    ordered = sorted(overviews, key=lambda o: -o.wavelength)
    composite = compose([resample(overview, base) for overview in ordered])
    about = {}
    bands = zip(_BANDS[len(ordered)], ordered, composite.limits, strict=True)
    for band, overview, (sky, unit) in bands:
        level = f"level = (flux - {sky:.6g}) / {unit:.6g}"
        about[band] = f"{overview.title}: {level}, flux in {overview.unit}"
    about |= composite.stretch.text() | {
        "Stretch": "asinh((level - Black) / Softening) / asinh((White - Black) / Softening) of the "
        "mean level; colours are the ratios of the levels less Black, and fade in the noise"
    }
    return Picture(_bytes(composite.values), _said(base, about))


def _said(overview: Overview, about: Mapping[str, str]) -> dict[str, str]:
    from hapdask import __version__

    ny, nx = overview.frame.shape
    step = overview.step
    shown = f"{nx} x {ny} pixels of {overview.frame.pixel_scale:.6g} arcsec"
    means = f", weighted means over {step} x {step}" if step > 1 else ""
    return {"Software": f"hapdask {__version__}", "Shows": shown + means, **about}


def _bytes(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Turn light from 0 to 1 into bytes; the first row of FITS is the lowest."""
    return np.ascontiguousarray(np.rint(values[::-1] * 255.0).astype(np.uint8))


def _png(picture: Picture) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in picture.text.items():
        info.add_text(key, value)
    return _encoded(Image.fromarray(picture.pixels), format="png", pnginfo=info)


def _jpeg(picture: Picture) -> bytes:
    from PIL import Image

    colours, alpha = picture.pixels[..., :-1], picture.pixels[..., -1:]
    light = (colours.astype(np.uint16) * alpha // 255).astype(np.uint8)  # black without data
    image = Image.fromarray(light[..., 0] if light.shape[-1] == 1 else light)
    comment = "\n".join(f"{key}: {value}" for key, value in picture.text.items())
    return _encoded(image, format="jpeg", quality=_QUALITY, optimize=True, comment=comment)


def _encoded(image: Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


_ENCODERS = {".png": _png, ".jpg": _jpeg}
