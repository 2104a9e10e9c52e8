"""Cards that tell how each chip was drizzled: D001VER and its fellows, NDRIZIM.

The names are AstroDrizzle's, the values are true of hapdask.  Not here: HDRTAB, which tells more
and has no limit (`hdrtab`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from hapdask.observe.cards import Value
from hapdask.observe.parts import ChipRecord
from hapdask.observe.record import ExposureRecord
from hapdask.products.fits_cards import Card
from hapdask.products.told import Told

#: Chips beyond this have no such cards: a keyword has room for three digits.
MOST = 999

_COMMENTS = {
    "VER": "software that drizzled this chip",
    "GEOM": "source of geometric information",
    "DATA": "input data image",
    "DEXP": "input image exposure time (s)",
    "OUDA": "output data image",
    "OUWE": "output weighting image",
    "OUCO": "output context image",
    "MASK": "input weighting image",
    "WTSC": "weighting factor for input image",
    "KERN": "kernel used for this chip",
    "PIXF": "linear size of drop",
    "COEF": "source of coefficients",
    "OUUN": "units of output image: counts or cps",
    "FVAL": "fill value for zero weight output pixel",
    "WKEY": "input image WCS version used",
    "SCAL": "output pixel size (arcsec)",
    "ISCL": "input pixel size of this chip (arcsec)",
}


def drizzle_cards(
    exposures: Sequence[ExposureRecord],
    told: Told | None,
    pixel_scale: float,
    outputs: Mapping[str, str],
    version: str,
    files: Mapping[str, str] | None = None,
) -> list[Card]:
    """Make NDRIZIM and the cards of every chip, in the order of CTX bits.

    Parameters
    ----------
    exposures : sequence of ExposureRecord
    told : Told or None
        Kernel, drop size and the like are not told where they are not known.
    pixel_scale : float
        Of the product, arcsec.
    outputs : mapping of {"SCI", "WHT", "CTX"} to str
        File and extension of each image; those that are absent are not written.
    version : str
    files : mapping of str to str, optional
        By the name of an exposure, the file that is told as its input; its own if absent.
    """
    chips = [(exposure, chip) for exposure in exposures for chip in exposure.chips]
    cards = [Card("NDRIZIM", len(chips), "number of images drizzled onto output")]
    shared: dict[str, Value] = {
        "OUDA": outputs.get("SCI", ""),
        "OUWE": outputs.get("WHT", ""),
        "OUCO": outputs.get("CTX", ""),
        "SCAL": pixel_scale,
        "VER": version,
    }
    if told is not None:
        shared |= _settings(told)
    for number, (exposure, chip) in enumerate(chips[:MOST], start=1):
        own = _values(exposure, chip, (files or {}).get(exposure.name))
        if told is not None:
            own["WTSC"] = _weight_scale(exposure, chip, told, pixel_scale)
        for key, value in (own | shared).items():
            if value is not None:
                cards.append(Card(f"D{number:03d}{key}", value, _COMMENTS[key]))
    if len(chips) > MOST:
        text = f"D cards end with chip {MOST} of {len(chips)}; HDRTAB has them all"
        cards.append(Card("HISTORY", text, ""))
    return cards


def _settings(told: Told) -> dict[str, Value]:
    return {
        "KERN": told.kernel,
        "PIXF": told.pixfrac,
        "OUUN": "counts" if told.counts else "cps",
        "FVAL": "INDEF" if told.fill is None else repr(told.fill),
        "WKEY": told.wcskey,
    }


def _weight_scale(
    exposure: ExposureRecord, chip: ChipRecord, told: Told, pixel_scale: float
) -> float:
    """Give what AstroDrizzle multiplies its weight maps by: the same weights come out here."""
    if told.weight == "EXP":
        return told.weight_scale
    ratio = pixel_scale / chip.idcscale if chip.idcscale else 1.0
    return (exposure.exptime**2 if told.weight == "IVM" else 1.0) / ratio**4


def _values(exposure: ExposureRecord, chip: ChipRecord, file: str | None) -> dict[str, Value]:
    name = file or file_name(exposure)
    return {
        "VER": "",  # keeps its place; see `drizzle_cards`
        "GEOM": "wcs",
        "DATA": f"{name}[sci,{chip.extver}]",
        "DEXP": exposure.exptime,
        "OUDA": "",
        "OUWE": "",
        "OUCO": "",
        "MASK": f"{name}[dq,{chip.extver}]" if chip.dq else "",
        "WTSC": 1.0,
        "KERN": None,
        "PIXF": None,
        "COEF": "SIP",
        "OUUN": "cps",
        "FVAL": "INDEF",
        "WKEY": "",
        "SCAL": None,
        "ISCL": chip.idcscale,
    }


def file_name(exposure: ExposureRecord) -> str:
    """Give the name of an exposure's file without its folder."""
    return PurePosixPath(exposure.url.replace("\\", "/")).name
