"""The chips of one exposure from the headers of its file, checked.

Every HDU that is used is checked here: SCI, ERR and DQ belong together, the WCS is possible for
this detector, look-up tables exist, are finite and reach over the chip.  Not here: the primary
header (`exposure`), the meaning of the distortion cards (`distortion`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.cards import Value
from hapdask.observe.distortion import Distortion
from hapdask.observe.fits import FitsFile, Hdu, read_image_rows
from hapdask.observe.instruments import Instrument
from hapdask.observe.parts import ChipRecord, Keywords, PixelSource
from hapdask.observe.source import ByteSource

Table = tuple[Mapping[str, Value], NDArray[np.float64]]
#: Arrays of look-up tables by the hash of their values, shared by the exposures of one call:
#: equal tables are one object, so records that are pickled together carry them once.
TableCache = dict[str, NDArray[np.float64]]

_TABLE_NAMES = ("D2IMARR", "WCSDVARR")
_MAX_TABLE = 1 << 21  # pixels; the largest of Hubble's tables has 64 x 32
_STRUCTURE = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|GROUPS|INHERIT|CHECKSUM"
    r"|DATASUM|BSCALE|BZERO|.*\..*)$"
)
_ALTERNATE_WCS = re.compile(
    r"(WCSNAME|WCSAXES|WCSTYPE|RADESYS|HDRNAME|LONPOLE|LATPOLE|RMS_RA|RMS_DEC|NMATCH|CATALOG"
    r"|(CRPIX|CRVAL|CUNIT|CTYPE|CRDER)[12]|CD[12]_[12])[A-Z]$"
)
_PIPELINE = "make it again with the calibration pipeline"
_RESTORE = "restore the WCS, for example with updatewcs"
_UPDATE = "run updatewcs on the file"


class LookupTables(Mapping[tuple[str, int], Table]):
    """The table extensions of an open file, each read when it is asked for."""

    def __init__(self, source: ByteSource, file: FitsFile, cache: TableCache) -> None:
        self._source, self._cache = source, cache
        self._hdus: dict[tuple[str, int], Hdu] = {}
        for hdu in file.hdus:
            if hdu.name in _TABLE_NAMES:
                self._hdus.setdefault((hdu.name, hdu.extver), hdu)

    def __getitem__(self, key: tuple[str, int]) -> Table:
        hdu = self._hdus[key]
        if not hdu.is_image or len(hdu.shape) != 2 or math.prod(hdu.shape) > _MAX_TABLE:
            raise InputError(
                self._source.url,
                f"a look-up table of shape {hdu.shape}",
                ext=hdu.label,
                remedy=_UPDATE,
            )
        stored = read_image_rows(self._source, hdu, 0, hdu.shape[0])
        values = np.ascontiguousarray(stored, dtype=np.float64)
        content = hashlib.blake2b(repr(values.shape).encode() + values.tobytes()).hexdigest()
        return hdu.header, self._cache.setdefault(content, values)

    def __contains__(self, key: object) -> bool:
        return key in self._hdus  # without reading it, as Mapping's own would

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._hdus)

    def __len__(self) -> int:
        return len(self._hdus)


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
        raise InputError(
            file.path, f"there is no {name} extension", remedy="give a calibrated FLT or FLC file"
        )
    if len(science) > len(instrument.chip_of_extver):
        raise InputError(
            file.path,
            f"{len(science)} {name} extensions; {instrument.label} has "
            f"{len(instrument.chip_of_extver)}",
            remedy=_PIPELINE,
        )
    tables = LookupTables(source, file, cache)
    return tuple(_chip(file, science[v], instrument, tables) for v in sorted(science))


def _chip(file: FitsFile, science: Hdu, instrument: Instrument, tables: LookupTables) -> ChipRecord:
    _, err_name, dq_name = instrument.ext_names
    shape = _image_shape(file.path, science)
    if shape[0] > instrument.shape[0] or shape[1] > instrument.shape[1]:
        raise InputError(
            file.path,
            f"{shape[1]} x {shape[0]} pixels; a chip of {instrument.label} has "
            f"{instrument.shape[1]} x {instrument.shape[0]}",
            ext=science.label,
            remedy="give a calibrated FLT or FLC file",
        )
    sources = {name: _companion(file, name, science, shape) for name in (err_name, dq_name)}
    if sources[dq_name] is None:
        raise InputError(
            file.path,
            f"there is no {dq_name},{science.extver} extension",
            ext=science.label,
            remedy=_PIPELINE,
        )
    _check_cards(science, file.path)
    header = {**science.header, "NAXIS1": shape[1], "NAXIS2": shape[0]}
    distortion = Distortion.from_header(header, tables, path=file.path, ext=science.label)
    _check_distortion(distortion, instrument, file.path, science.label)
    primary = file.hdus[0].header
    return ChipRecord(
        extver=science.extver,
        chip=_chip_number(science, instrument),
        shape=shape,
        distortion=distortion,
        sci=_pixels(science),
        err=sources[err_name],
        dq=sources[dq_name],
        photflam=_positive(science.header, "PHOTFLAM") or _positive(primary, "PHOTFLAM") or 0.0,
        idcscale=_positive(science.header, "IDCSCALE") or instrument.native_scale,
        keywords=export_cards(science.header),
    )


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


def _check_distortion(distortion: Distortion, instrument: Instrument, path: str, ext: str) -> None:
    """Refuse what is possible, but not for this detector."""
    ratio = distortion.pixel_scale / instrument.native_scale
    if not 0.5 < ratio < 8.0:  # binned images have larger pixels
        raise InputError(
            path,
            f"the CD matrix gives pixels of {distortion.pixel_scale:.4g} arcsec; "
            f"{instrument.label} has {instrument.native_scale:.4g}",
            ext=ext,
            remedy=_RESTORE,
        )
    _check_tables(distortion, path, ext)


def _check_tables(distortion: Distortion, path: str, ext: str) -> None:
    """Refuse look-up tables that end well inside the chip: they are cut, or of another detector."""
    for name in ("d2im_x", "d2im_y", "npol_x", "npol_y"):
        table = getattr(distortion, name)
        if table is None:
            continue
        for axis, size in ((0, distortion.shape[1]), (1, distortion.shape[0])):
            first, step = table.start[axis], table.step[axis]
            last = first + step * (table.values.shape[1 - axis] - 1)
            if first > 2 * step or last < size - 1 - 2 * step:
                raise InputError(
                    path,
                    f"its look-up table {name} reaches from pixel {first:g} to {last:g} of {size}",
                    ext=ext,
                    remedy=_UPDATE,
                )


def _chip_number(science: Hdu, instrument: Instrument) -> int:
    number = science.header.get("CCDCHIP")
    if isinstance(number, int) and number in instrument.chip_of_extver:
        return number
    order = instrument.chip_of_extver
    return order[science.extver - 1] if 1 <= science.extver <= len(order) else science.extver


def _positive(header: Mapping[str, Value], key: str) -> float | None:
    value = header.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def export_cards(header: Mapping[str, Value]) -> Keywords:
    """Keep the cards that a product may quote: finite, no structure, no alternate WCS."""
    return tuple(
        (key, value)
        for key, value in header.items()
        if not _STRUCTURE.match(key)
        and not _ALTERNATE_WCS.match(key)
        and not (isinstance(value, float) and not math.isfinite(value))
    )
