"""A solution found on a drizzled image, carried back to the exposures that it was made of.

Two WCSs of the image, the one it was drizzled on and the tweaked one, say where everything on the
sky moves: pixel by the first, sky by the second.  Both are tangent planes, so that this is one
linear map of sky vectors; a chip follows it exactly at its CRVAL and to first order around it
(`Distortion.moved`), which is all that a chip's CRVAL and CD can hold.

Source: DrizzlePac's ``tweakback.apply_tweak``, with its numerical derivatives made exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hapdask.errors import FrameError, InputError, ParameterError
from hapdask.kernels import chains
from hapdask.observe.cards import Cards, number_of, text_of
from hapdask.observe.fits import FitsFile, Hdu, scan
from hapdask.observe.record import ExposureRecord
from hapdask.observe.solutions.cards import with_alternate
from hapdask.sky.wcs_cards import TanCards, read_cards

_DATA = re.compile(r"D\d{3}DATA$")
_SECTION = re.compile(r"\[.*\]$")
_SYSTEM = ("RADESYS", "EQUINOX")
_MAS = 3.6e6


@dataclass(frozen=True)
class TweakedImage:
    """What a drizzled image says of its two WCSs.

    Attributes
    ----------
    path : str
    original, tweaked : TanCards
    wcsname : str
        Of the tweaked one.
    rms_mas : tuple of float or None
        RA and Dec of the fit, where the header has them, mas.
    inputs : tuple of str
        Names of the files that it was made of, without folders.
    """

    path: str
    original: TanCards
    tweaked: TanCards
    wcsname: str
    rms_mas: tuple[float, float] | None
    inputs: tuple[str, ...]

    @property
    def sky_map(self) -> npt.NDArray[np.float64]:
        """Linear map of sky vectors, shape (3, 3), defined up to a factor."""
        return sky_map(self.original, self.tweaked)


def read_tweaked(
    path: str, original: str, tweaked: str = "", *, extension: str = "SCI"
) -> TweakedImage:
    """Read the two WCSs of a drizzled image.

    Parameters
    ----------
    path : str
    original : str
        Key (one letter) or WCSNAME of the WCS that it was drizzled on.
    tweaked : str
        Of the one that was found; empty for the primary WCS.
    extension : str
        EXTNAME of the image; a file of one image needs none.

    Raises
    ------
    InputError
        If the image, or a WCS in it, is not there, or no plain tangent plane.
    """
    file = scan(path)
    image = _image(file, extension)
    keys = _keys(image.header)
    if len(keys) < 2:
        raise InputError(
            file.path,
            "it has only one WCS: there is nothing to carry back",
            ext=image.label,
            remedy="align the drizzled image first, keeping its old WCS under a key",
        )
    from_key = _find(file, image, original)
    to_key = _find(file, image, tweaked) if tweaked else ""
    if from_key == to_key:
        raise InputError(
            file.path,
            f"{original!r} and {tweaked or 'the primary WCS'} are the same WCS",
            ext=image.label,
            remedy="name the WCS that the image was drizzled on, and the tweaked one",
        )
    header = image.header
    return TweakedImage(
        path=file.path,
        original=_grid(file, image, from_key),
        tweaked=_grid(file, image, to_key),
        wcsname=text_of(header, f"WCSNAME{to_key}") or to_key,
        rms_mas=_rms(header, to_key),
        inputs=_inputs({**header, **file.hdus[0].header}),
    )


def sky_map(original: TanCards, tweaked: TanCards) -> npt.NDArray[np.float64]:
    """Map of sky vectors that takes a pixel's old position to its new one.

    Returns
    -------
    ndarray of float64, shape (3, 3)
        Defined up to a factor; a rotation where only CRVAL differs or the image is turned.
    """
    old, new = (np.reshape(grid.cd, (2, 2)) for grid in (original, tweaked))
    affine = np.eye(3)
    affine[:2, :2] = new @ np.linalg.inv(old)
    between = np.subtract(original.crpix, tweaked.crpix)
    affine[:2, 2] = np.radians(new @ between)
    back = chains.tangent_basis(*tweaked.crval).T
    result: npt.NDArray[np.float64] = back @ affine @ chains.tangent_basis(*original.crval)
    return result


def carry_back(
    records: Iterable[ExposureRecord], image: TweakedImage, *, wcsname: str = ""
) -> list[ExposureRecord]:
    """Move exposures as a drizzled image of them was moved.

    Parameters
    ----------
    records : iterable of ExposureRecord
        As opened, with the WCS that the image was drizzled with.
    image : TweakedImage
    wcsname : str
        Their new one; empty for that of the tweaked image.

    Returns
    -------
    list of ExposureRecord
        All chips of each are moved.  They carry no `Correction`: an affine of one tangent plane
        cannot hold a map between two.

    Raises
    ------
    ParameterError
        If an exposure is aligned already.
    """
    matrix, moved = image.sky_map, []
    for record in records:
        if record.correction is not None:
            raise ParameterError(
                f"{record.name} is corrected already; start from the record opened"
            )
        chips = tuple(replace(c, distortion=c.distortion.moved(matrix)) for c in record.chips)
        moved.append(replace(record, chips=chips, wcsname=wcsname or image.wcsname))
    return moved


def _image(file: FitsFile, extension: str) -> Hdu:
    name = extension.strip().upper()
    found = [hdu for hdu in file.hdus if hdu.name == name and hdu.is_image and len(hdu.shape) == 2]
    if not found and len(file.hdus[0].shape) == 2:
        found = [file.hdus[0]]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} images called {name}" if found else f"there is no image called {name}"
    raise InputError(
        file.path, problem, remedy="give a drizzled image with one SCI extension, or name another"
    )


def _keys(header: Cards) -> list[str]:
    """Keys of all WCSs of an image, the primary's being empty."""
    found = {key[6:] for key in header if key.startswith("CRVAL1") and len(key) <= 7}
    return sorted(key for key in found if not key or key.isalpha())


def _find(file: FitsFile, image: Hdu, name: str) -> str:
    """Key of a WCS that was named by key or WCSNAME."""
    keys, wanted = _keys(image.header), name.strip().upper()
    if len(wanted) == 1 and wanted in keys:
        return wanted
    named = {text_of(image.header, f"WCSNAME{key}").upper(): key for key in reversed(keys)}
    if wanted and wanted in named:
        return named[wanted]
    told = ", ".join(
        f"{text_of(image.header, f'WCSNAME{k}') or 'one without a name'} ({k or 'primary'})"
        for k in keys
    )
    raise InputError(
        file.path, f"there is no WCS {name!r}", ext=image.label, remedy=f"choose one of {told}"
    )


def _grid(file: FitsFile, image: Hdu, key: str) -> TanCards:
    header = with_alternate(image.header, key) if key else image.header
    # FK5 or ICRS: a map between two WCSs of one image does not depend on it
    cards = {k: v for k, v in header.items() if v is not None and k not in _SYSTEM}
    try:
        return read_cards(cards)
    except FrameError as error:
        raise InputError(
            file.path,
            f"its WCS {key or '(primary)'} is no plain tangent plane: {error}",
            ext=image.label,
            remedy="give an image that AstroDrizzle made",
        ) from error


def _rms(header: Cards, key: str) -> tuple[float, float] | None:
    found = [number_of(header, f"CRDER{axis}{key}") for axis in (1, 2)]
    return None if None in found else (_MAS * (found[0] or 0.0), _MAS * (found[1] or 0.0))


def _inputs(header: Cards) -> tuple[str, ...]:
    """Files of the cards D001DATA, D002DATA, ..., each once, in order."""
    names = (str(header[key] or "") for key in sorted(header) if _DATA.match(key))
    plain = (_SECTION.sub("", name).replace("\\", "/").rpartition("/")[2] for name in names)
    return tuple(dict.fromkeys(name for name in plain if name))
