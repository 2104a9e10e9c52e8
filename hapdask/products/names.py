"""Names of product files: those of the Hubble Advanced Products, built and checked.

Words that come from headers or users (filters, visits, prefixes) must pass a narrow pattern
before they become part of a path.  Not here: names of archive groups and of tiles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from hapdask.errors import StoreError

if TYPE_CHECKING:
    from hapdask.observe.record import ExposureRecord

Suffix = Literal["drc", "drz", "drw"]
Scale = Literal["fine", "coarse"]

#: Suffix of products of inputs with a suffix, and of instruments with one of their own.
_SUFFIX_OF_INPUT: dict[str, Suffix] = {"flc": "drc"}
_SUFFIX_OF_INSTRUMENT: dict[str, Suffix] = {"wfpc2": "drw"}
_WORD = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_CELL = re.compile(r"skycell-p\d{4}x\d{2}y\d{2}")
#: ``ipppss``, or ``ipppssoo`` with the imset of a file of several exposures.
_ROOT = re.compile(r".{6}|.{8}(-\d+)?")
_LONGEST = 200  # file systems allow 255 bytes; extensions and side files need some


@dataclass(frozen=True, slots=True)
class ProductName:
    """The name of one product, from which its files are named.

    Parameters
    ----------
    stem : str
        The name up to the last ``_``; it is ROOTNAME in the header.
    suffix : {"drc", "drz", "drw"}
        Whether the inputs were corrected for charge-transfer efficiency (FLC) or not (FLT), or
        are WFPC2's.

    Raises
    ------
    StoreError
        If the stem could not be a plain file name.

    Examples
    --------
    >>> name = sky_cell_name("skycell-p1889x07y19", "wfc3", "uvis", "f475w")
    >>> name.fits
    'hst_skycell-p1889x07y19_wfc3_uvis_f475w_all_drc.fits'
    """

    stem: str
    suffix: Suffix = "drc"

    def __post_init__(self) -> None:
        if not _STEM.fullmatch(self.stem) or ".." in self.stem or len(self.stem) > _LONGEST:
            raise StoreError(
                f"{self.stem!r} cannot be a file name: use up to {_LONGEST} letters, digits and "
                "'.', '_', '+', '-', beginning with a letter or digit"
            )
        if self.suffix not in get_args(Suffix):
            known = ", ".join(get_args(Suffix))
            raise StoreError(f"{self.suffix!r} is no product suffix: it must be one of {known}")

    @property
    def fits(self) -> str:
        """Name of the FITS file."""
        return f"{self.stem}_{self.suffix}.fits"

    @property
    def jpg(self) -> str:
        """Name of the preview."""
        return f"{self.stem}_{self.suffix}.jpg"

    @property
    def thumbnail(self) -> str:
        """Name of the small preview."""
        return f"{self.stem}_{self.suffix}_thumb.jpg"

    @property
    def png(self) -> str:
        """Name of the picture, as the archive's preview but PNG."""
        return f"{self.stem}_{self.suffix}.png"

    @property
    def trailer(self) -> str:
        """Name of the log that goes with the product."""
        return f"{self.stem}_trl.txt"


def product_suffix(exposures: Sequence[ExposureRecord]) -> Suffix:
    """Give the suffix of the product of some exposures; they are of one layer."""
    found = {
        _SUFFIX_OF_INSTRUMENT.get(e.instrument) or _SUFFIX_OF_INPUT.get(e.suffix, "drz")
        for e in exposures
    }
    return found.pop() if len(found) == 1 else "drz"


def sky_cell_name(
    cell: str,
    instrument: str,
    detector: str,
    filter_name: str,
    *,
    scale: Scale = "fine",
    suffix: Suffix = "drc",
    exposure_class: str = "all",
    prefix: str | None = None,
) -> ProductName:
    """Give the name of one layer of a sky cell (MVM).

    Parameters
    ----------
    cell : str
        ``skycell-pPPPPxXXyYY``.
    instrument, detector, filter_name : str
        HAP names, for example ``wfc3``, ``uvis``, ``f475w``; case does not matter.
    scale : {"fine", "coarse"}
        0.04 or 0.12 arcsec per pixel.
    suffix : {"drc", "drz", "drw"}
        See `ProductName`.
    exposure_class : str
        ``all``, or a class of exposures by time or epoch.
    prefix : str, optional
        What a custom mosaic has in the place of ``hst_<cell>``.

    Returns
    -------
    ProductName

    Raises
    ------
    StoreError
        If a part could not be in a file name.
    """
    if prefix is None:
        if not _CELL.fullmatch(cell):
            raise StoreError(f"{cell!r} is no sky cell: expected skycell-pPPPPxXXyYY")
        prefix = f"hst_{cell}"
    if scale not in ("fine", "coarse"):
        raise StoreError(f"{scale!r} is no scale: it must be 'fine' or 'coarse'")
    group = _word("exposure class", exposure_class)
    group = f"coarse-{group}" if scale == "coarse" else group
    return ProductName(
        f"{_prefix(prefix)}_{_layer(instrument, detector, filter_name)}_{group}", suffix
    )


def custom_prefix(projection_cell: int, crval: tuple[float, float]) -> str:
    """Give the prefix that a custom mosaic has when the user names none.

    Parameters
    ----------
    projection_cell : int
        Number of the projection cell, 0 to 2643.
    crval : (ra, dec)
        Its tangent point, degrees.

    Returns
    -------
    str

    Examples
    --------
    >>> custom_prefix(1889, (180.0, 26.0))
    'hst_skycell-p1889-ra180d0-decn26d0'
    """
    ra, dec = (repr(abs(float(value))).replace(".", "d") for value in crval)
    sign = "s" if crval[1] < 0 else "n"
    return _prefix(f"hst_skycell-p{projection_cell:04d}-ra{ra}-dec{sign}{dec}")


def visit_name(
    proposal: str | int,
    visit: str,
    instrument: str,
    detector: str,
    filter_name: str,
    root: str,
    *,
    suffix: Suffix = "drc",
) -> ProductName:
    """Give the name of a single-visit product (SVM).

    Parameters
    ----------
    proposal : str or int
        PROPOSID.
    visit : str
        Observation set, for example ``06``.
    instrument, detector : str
        HAP names.
    filter_name : str
        HAP name, or ``total`` for all filters of the detector.
    root : str
        Rootname of an exposure: its first 6 characters name the visit (filter and total
        products), its first 8 the exposure (with ``-2`` behind for its second imset).  Give as
        many as the product is of.
    suffix : {"drc", "drz", "drw"}
        See `ProductName`.

    Returns
    -------
    ProductName

    Examples
    --------
    >>> visit_name(11665, "06", "wfc3", "uvis", "f555w", "ib4606").fits
    'hst_11665_06_wfc3_uvis_f555w_ib4606_drc.fits'
    """
    if not _ROOT.fullmatch(root):
        raise StoreError(f"{root!r} names neither a visit (6 characters) nor an exposure (8)")
    head = f"hst_{_word('proposal', str(proposal))}_{_word('visit', visit)}"
    layer = _layer(instrument, detector, filter_name)
    return ProductName(f"{head}_{layer}_{_word('rootname', root)}", suffix)


def colour_name(
    cell: str, filters: list[str], *, prefix: str | None = None, suffix: Suffix = "drc"
) -> ProductName:
    """Give the name of the colour pictures of a sky cell.

    Parameters
    ----------
    cell : str
        ``skycell-pPPPPxXXyYY``.
    filters : list of str
        HAP names, in the order of the name.
    prefix : str, optional
        What a custom mosaic has in the place of ``hst_<cell>``.
    suffix : {"drc", "drz", "drw"}
        Of the layers.

    Returns
    -------
    ProductName
    """
    if prefix is None and not _CELL.fullmatch(cell):
        raise StoreError(f"{cell!r} is no sky cell: expected skycell-pPPPPxXXyYY")
    joined = "-".join(_word("filter", name) for name in filters)
    return ProductName(f"{_prefix(prefix or f'hst_{cell}')}_total_{joined}", suffix)


def inside(folder: str | Path, name: str) -> Path:
    """Join a checked name to a folder.

    Parameters
    ----------
    folder : path
        Chosen by the user; may be anything.
    name : str
        A plain file name.

    Returns
    -------
    Path

    Raises
    ------
    StoreError
        If the name would lead out of the folder.
    """
    if not _STEM.fullmatch(name) or ".." in name:
        raise StoreError(f"{name!r} is not a plain file name: it may hold no path")
    return Path(folder) / name


def _layer(instrument: str, detector: str, filter_name: str) -> str:
    words = (("instrument", instrument), ("detector", detector), ("filter", filter_name))
    return "_".join(_word(what, value) for what, value in words)


def _word(what: str, value: str) -> str:
    word = value.lower()
    if not _WORD.fullmatch(word) or ".." in word:
        raise StoreError(f"{what} {value!r} cannot be part of a file name")
    return word


def _prefix(prefix: str) -> str:
    """Check a prefix; a ``_`` at its end would be doubled."""
    return ProductName(prefix.rstrip("_")).stem
