"""Headerlets: a WCS with its distortion in a small FITS file, alone or inside an exposure.

Inside, the whole small file is the data of an extension of the kind HDRLET, perhaps gzipped.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hapdask.errors import InputError
from hapdask.observe.cards import Value, text_of
from hapdask.observe.fits import FitsFile, Hdu, read_image_rows, scan_source
from hapdask.observe.solutions.cards import MODELS, REFERENCES, TABLES, Solution
from hapdask.observe.source import ByteSource, memory_source, open_source

_MAX_BYTES = 1 << 26
_GZIP = b"\x1f\x8b"
_REMEDY = "write the headerlet again, or use another WCS"


@dataclass(frozen=True, slots=True)
class Headerlet:
    """What a headerlet says of itself.

    Attributes
    ----------
    hdrname, wcsname : str
    destim : str
        Rootname of the exposure that it is for; empty inside an exposure.
    url : str
        Of a file of its own; empty inside an exposure.
    hdu : Hdu or None
        The extension that holds it, inside an exposure.
    """

    hdrname: str
    wcsname: str
    destim: str = ""
    url: str = ""
    hdu: Hdu | None = None

    @property
    def label(self) -> str:
        """How messages name it."""
        place = self.url or (self.hdu.label if self.hdu else "")
        return f"{self.wcsname or self.hdrname} ({place})"

    def answers_to(self, name: str) -> bool:
        """Whether it is known by that HDRNAME or WCSNAME, in any case of letters."""
        return name.lower() in (self.hdrname.lower(), self.wcsname.lower())


def list_headerlets(file: FitsFile) -> list[Headerlet]:
    """List the headerlets inside a scanned exposure, the latest first."""
    found = [
        Headerlet(text_of(hdu.header, "HDRNAME"), text_of(hdu.header, "WCSNAME"), hdu=hdu)
        for hdu in file.hdus
        if hdu.header.get("XTENSION") == "HDRLET"
    ]
    return found[::-1]


def scan_headerlets(
    urls: Iterable[str],
) -> tuple[list[Headerlet], list[tuple[str, InputError]]]:
    """Read the names of headerlet files; those that cannot be read come with the reason."""
    found, broken = [], []
    for url in urls:
        try:
            found.append(scan_headerlet(url))
        except InputError as error:
            broken.append((url, error))
    return found, broken


def scan_headerlet(url: str) -> Headerlet:
    """Read the names of a headerlet file.

    Raises
    ------
    InputError
        If it cannot be read, or is no headerlet.
    """
    with open_source(url) as source:
        file = scan_source(source)
    primary = file.hdus[0]
    destim = text_of(primary.header, "DESTIM").lower()
    if not destim or not any(hdu.name == "SIPWCS" for hdu in file.hdus):
        raise InputError(url, "this is no headerlet: no DESTIM or SIPWCS", remedy=_REMEDY)
    return Headerlet(
        text_of(primary.header, "HDRNAME"), text_of(primary.header, "WCSNAME"), destim, url
    )


def read_headerlet(headerlet: Headerlet, source: ByteSource) -> Solution:
    """Read a headerlet.

    Parameters
    ----------
    headerlet : Headerlet
    source : ByteSource
        The open exposure, where the headerlet is inside one.

    Raises
    ------
    InputError
        If it is broken.
    """
    if headerlet.hdu is None:
        with open_source(headerlet.url) as own:
            return _read(own, headerlet)
    return _read(_unwrapped(source, headerlet.hdu), headerlet)


def read_tables(source: ByteSource, file: FitsFile) -> list[Hdu]:
    """Read the look-up tables of a small open file: HDUs that carry their values."""
    tables = []
    for hdu in file.hdus:
        if hdu.name in TABLES and hdu.is_image and len(hdu.shape) == 2:
            values = read_image_rows(source, hdu, 0, hdu.shape[0])
            tables.append(replace(hdu, values=values))
    return tables


def _read(source: ByteSource, headerlet: Headerlet) -> Solution:
    file = scan_source(source)
    primary = file.hdus[0].header
    names = {key: primary[key] for key in (*REFERENCES, *MODELS) if primary.get(key)}
    chips: dict[int, dict[str, Value]] = {}
    for hdu in file.hdus:
        if hdu.name == "SIPWCS":
            target = hdu.header.get("TG_EVER", hdu.extver)
            named = {"WCSNAME": headerlet.wcsname, "HDRNAME": headerlet.hdrname}
            chips[target if isinstance(target, int) else hdu.extver] = {**hdu.header, **named}
    if not chips:
        raise InputError(source.url, "the headerlet has no SIPWCS extension", remedy=_REMEDY)
    return Solution(names, chips, read_tables(source, file))


def _unwrapped(source: ByteSource, hdu: Hdu) -> ByteSource:
    """Open the small file inside an HDRLET extension."""
    where = f"{source.url}[{hdu.label}]"
    length = hdu.shape[0] if len(hdu.shape) == 1 else 0
    if not 0 < length <= _MAX_BYTES:
        raise InputError(where, "the headerlet is empty or broken", remedy=_REMEDY)
    raw = source.read(hdu.data_offset, length, ext=hdu.label)
    if raw.startswith(_GZIP):
        try:
            raw = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(raw, _MAX_BYTES)
        except (zlib.error, gzip.BadGzipFile) as error:
            raise InputError(where, f"the headerlet is damaged: {error}", remedy=_REMEDY) from error
    return memory_source(where, raw)
