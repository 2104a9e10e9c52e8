"""The chips of one exposure from the headers of its file, checked.

Every HDU that is used is checked here: SCI, ERR and DQ belong together, the WCS is possible for
this detector, look-up tables exist, are finite and reach over the chip.  Not here: the exposure
as a whole (`opening`), its place on the detector (`placing`), the distortion (`distortion`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from hapdask.errors import InputError
from hapdask.observe.cards import Cards, Value, number_of
from hapdask.observe.companions import identity_of, open_companion
from hapdask.observe.distortion import Distortion
from hapdask.observe.fits import FitsFile, Hdu
from hapdask.observe.instruments import (
    ChipFacts,
    Instrument,
    Quadrant,
    electronics,
    filter_elements,
    tail,
)
from hapdask.observe.lookup import LookupTables, short_tables
from hapdask.observe.lookup import TableCache as TableCache
from hapdask.observe.parts import ChipRecord, Keywords, PixelSource
from hapdask.observe.placing import Placement, pixel_scale, place, window_of
from hapdask.observe.source import ByteSource

_STRUCTURE = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|GROUPS|INHERIT|CHECKSUM"
    r"|DATASUM|BSCALE|BZERO|.*\..*)$"
)
_ALTERNATE_WCS = re.compile(
    r"(WCSNAME|WCSAXES|WCSTYPE|RADESYS|HDRNAME|LONPOLE|LATPOLE|RMS_RA|RMS_DEC|NMATCH|CATALOG"
    r"|FITGEOM|FITNAME|(CRPIX|CRVAL|CUNIT|CTYPE|CRDER)[12]|CD[12]_[12])[A-NP-Z]$"
)
_PIPELINE = "make it again with the calibration pipeline"
_RESTORE = "restore the WCS, for example with updatewcs"
_UPDATE = "run updatewcs on the file"


def read_chips(
    source: ByteSource, file: FitsFile, instrument: Instrument, cache: TableCache
) -> tuple[ChipRecord, ...]:
    """Make the records of a file's chips, by EXTVER.

    Parameters
    ----------
    source : ByteSource
        The file, open.
    file : FitsFile
        Its scan.
    instrument : Instrument
    cache : dict
        See `TableCache`.

    Raises
    ------
    InputError
        If an extension is missing, broken, or does not fit the others or the detector.
    """
    name = instrument.ext_names[0]
    science = {h.extver: h for h in reversed(file.hdus) if h.name == name}
    if not science:
        raise _no_science(file, instrument)
    if file.find("WHT") is not None:
        raise InputError(
            file.path,
            "is a drizzled product",
            ext="WHT,1",
            remedy="give the exposures it is made of",
        )
    if len(science) > len(instrument.chips) and not instrument.imsets_are_exposures:
        raise InputError(
            file.path,
            f"{len(science)} {name} extensions; {instrument.label} has {len(instrument.chips)}",
            remedy=_PIPELINE,
        )
    reader = _ChipReader(
        file, open_companion(file, instrument), instrument, LookupTables(source, file, cache)
    )
    chips = (reader.chip(science[extver]) for extver in sorted(science))
    return tuple(chip for chip in chips if chip is not None)


def _no_science(file: FitsFile, instrument: Instrument) -> InputError:
    pair = instrument.companion
    if pair is not None and file.find(pair.name) is not None:
        return InputError(
            file.path,
            f"holds data quality alone ({pair.name}): it is found by itself, beside its exposure",
            remedy=f"give the {pair.suffix[1:]} file",
        )
    return InputError(
        file.path,
        f"there is no {instrument.ext_names[0]} extension",
        remedy="give a calibrated FLT or FLC file",
    )


class _ChipReader:
    """Makes the records of one file's chips."""

    def __init__(
        self,
        file: FitsFile,
        companion: FitsFile | None,
        instrument: Instrument,
        tables: LookupTables,
    ) -> None:
        self.file, self.companion, self.instrument = file, companion, instrument
        self.tables = tables
        self.primary = file.hdus[0].header
        elements = filter_elements(self.primary, instrument)
        self.quadrant: Quadrant | None = next(
            (instrument.quadrants[e] for e in elements if e in instrument.quadrants), None
        )

    def chip(self, science: Hdu) -> ChipRecord | None:
        """Make the record of one chip; None where its filter lets no light to it."""
        file, instrument, header = self.file, self.instrument, science.header
        shape = _image_shape(file.path, science)
        where = {"path": file.path, "ext": science.label}
        placement = place(self.primary, header, shape, instrument, **where)
        facts = instrument.chip(_chip_number(science, instrument))
        window = self._window(facts, placement, shape)
        if window is None:
            return None
        _check_cards(science, file.path)
        sized = {**header, "NAXIS1": shape[1], "NAXIS2": shape[0]}
        distortion = Distortion.from_header(sized, self.tables, **where)
        idcscale = _positive(header, "IDCSCALE") or distortion.pixel_scale
        idcscale = pixel_scale(idcscale, facts, placement.bin)
        scales = {"the CD matrix": distortion.pixel_scale, "IDCSCALE": idcscale}
        _check_scales(scales, facts.scale * placement.bin, instrument.label, **where)
        _check_tables(distortion, placement, **where)
        noise = electronics(self.primary, header, instrument, facts, path=file.path)
        photflam = _positive(header, "PHOTFLAM") or _positive(self.primary, "PHOTFLAM")
        return ChipRecord(
            extver=science.extver,
            chip=facts.number,
            shape=shape,
            distortion=distortion,
            sci=_pixels(science),
            err=self._error(science, shape),
            dq=self._quality(science, shape),
            photflam=photflam or 0.0,
            idcscale=idcscale,
            gain=noise.gain,
            read_noise=noise.read_noise,
            dark=noise.dark,
            shadow=facts.shadow,
            bin=placement.bin,
            window=window,
            tail=tail(self.primary, instrument, facts),
            hdu=science.index,
            keywords=export_cards(header),
        )

    def _window(
        self, facts: ChipFacts, placement: Placement, shape: tuple[int, int]
    ) -> tuple[int, ...] | None:
        """Pixels behind the exposure's filter: empty for all of them, None for none."""
        if self.quadrant is None:
            return ()
        if self.quadrant.chip != facts.number:
            return None
        return window_of(self.quadrant, placement, shape)

    def _error(self, science: Hdu, shape: tuple[int, int]) -> PixelSource | None:
        name = self.instrument.ext_names[1]
        found = _companion(self.file, name, science, shape) if name else None
        unmade = found is not None and found.constant is not None and not found.constant > 0
        return None if unmade else found  # errors of 0 everywhere are none

    def _quality(self, science: Hdu, shape: tuple[int, int]) -> PixelSource | None:
        """Find the data quality, in the file or in its companion."""
        name, pair = self.instrument.ext_names[2], self.instrument.companion
        found = _companion(self.file, name, science, shape)
        if found is None and self.companion is not None and pair is not None:
            name = pair.name
            found = _companion(self.companion, name, science, shape)
            if found is not None:
                found = replace(
                    found, url=self.companion.path, identity=identity_of(self.companion)
                )
        if found is None and (self.instrument.needs_dq or self.companion is not None):
            raise InputError(
                (self.companion or self.file).path,
                f"there is no {name},{science.extver} extension",
                ext=science.label,
                remedy=_PIPELINE,
            )
        return found


def _image_shape(path: str, hdu: Hdu) -> tuple[int, int]:
    """(ny, nx) of an image, stored or constant."""
    header = hdu.header
    if header.get("ZIMAGE") is True or header.get("XTENSION") == "BINTABLE":
        raise InputError(
            path,
            "the image is compressed, and its pixels cannot be read by byte range",
            ext=hdu.label,
            remedy="decompress the file first, with funpack",
        )
    shape: tuple[object, ...] = hdu.shape
    if not hdu.shape and "PIXVALUE" in header:
        shape = (header.get("NPIX2"), header.get("NPIX1"))
    if not hdu.is_image or len(shape) != 2:
        raise InputError(path, "is not an image of two axes", ext=hdu.label, remedy=_PIPELINE)
    ny, nx = shape
    if not isinstance(ny, int) or not isinstance(nx, int) or min(ny, nx) < 1:
        raise InputError(path, f"an image of {nx} x {ny} pixels", ext=hdu.label, remedy=_PIPELINE)
    return ny, nx


def _companion(
    file: FitsFile, name: str, science: Hdu, shape: tuple[int, int]
) -> PixelSource | None:
    """Find the array of that name beside a SCI extension, or None."""
    hdu = file.find(name, science.extver)
    if hdu is None:
        return None
    found = _image_shape(file.path, hdu)
    if found != shape:
        raise InputError(
            file.path,
            f"{found[1]} x {found[0]} pixels, but {science.label} has {shape[1]} x {shape[0]}",
            ext=hdu.label,
            remedy=_PIPELINE,
        )
    return _pixels(hdu)


def _pixels(hdu: Hdu) -> PixelSource:
    value = hdu.header.get("PIXVALUE")
    if not hdu.shape and isinstance(value, int | float):
        return PixelSource(hdu.data_offset, hdu.dtype, constant=float(value))
    return PixelSource(hdu.data_offset, hdu.dtype, hdu.bscale, hdu.bzero)


def _check_cards(science: Hdu, path: str) -> None:
    """Refuse what is a number but nowhere on the sky or near the chip."""
    for key, limit in (("CRVAL1", 360.0), ("CRPIX1", 1e5), ("CRPIX2", 1e5)):
        value = science.header.get(key)
        if isinstance(value, int | float) and abs(value) > limit:
            raise InputError(path, f"{key} = {value} is absurd", ext=science.label, remedy=_RESTORE)


def _check_scales(
    scales: Mapping[str, float], expected: float, label: str, *, path: str, ext: str
) -> None:
    """Refuse scales (arcsec / pixel) that are possible, but not for this detector."""
    for source, scale in scales.items():
        if not 0.5 < scale / expected < 2.0:
            raise InputError(
                path,
                f"{source} gives pixels of {scale:.4g} arcsec; {label} has {expected:.4g}",
                ext=ext,
                remedy=_RESTORE,
            )


def _check_tables(distortion: Distortion, placement: Placement, *, path: str, ext: str) -> None:
    """Refuse look-up tables that end inside a whole chip."""
    if placement.whole and (short := short_tables(distortion)):
        name, first, last, size = short[0]
        raise InputError(
            path,
            f"its look-up table {name} reaches from pixel {first:g} to {last:g} of {size}",
            ext=ext,
            remedy=_UPDATE,
        )


def _chip_number(science: Hdu, instrument: Instrument) -> int:
    number, order = science.header.get(instrument.chip_keyword), instrument.chip_of_extver
    if isinstance(number, int) and number in order:
        return number
    return order[science.extver - 1] if 1 <= science.extver <= len(order) else order[0]


def _positive(header: Cards, key: str) -> float | None:
    value = number_of(header, key)
    return value if value is not None and value > 0 else None


def export_cards(header: Cards) -> Keywords:
    """Keep the cards that a product may quote: finite, no structure, no alternate WCS but O."""
    return tuple(
        (key, value) if value == 0 else _card(key, value)  # 0.0 and -0.0 are equal, and differ
        for key, value in header.items()
        if _may_be_quoted(key) and not (isinstance(value, float) and not math.isfinite(value))
    )


@lru_cache(maxsize=1 << 16, typed=True)
def _card(key: str, value: Value) -> tuple[str, Value]:
    """One object for a card that many exposures have: most of a header is the same in all."""
    return key, value


@lru_cache(maxsize=1 << 13)
def _may_be_quoted(key: str) -> bool:
    return not _STRUCTURE.match(key) and not _ALTERNATE_WCS.match(key)
