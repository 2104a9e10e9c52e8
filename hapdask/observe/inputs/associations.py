"""Association tables (``*_asn.fits``): the exposures of one product, by rootname."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hapdask.errors import InputError
from hapdask.observe.fits import FitsFile, Hdu, scan_source
from hapdask.observe.inputs.entry import Entry, Input, Unusable
from hapdask.observe.inputs.finding import find_file, is_there, missing, usual_folders
from hapdask.observe.remote import is_remote
from hapdask.observe.source import ByteSource, open_source

log = logging.getLogger(__name__)

_NAME = re.compile(r"_as[nc]\.fits?(\.gz)?$", re.IGNORECASE)
_WIDTH = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8}
_MEMBER = re.compile(r"[a-z0-9]+(_[a-z0-9]+)?$", re.IGNORECASE)
_FLC = re.compile(r"_flc\.fits(\.gz)?$")
_FORMAT = re.compile(r" *(\d*)([LBAIJEKD])")
_MAX_BYTES = 1 << 24
_REMEDY = "fetch the association table again, or name the exposures themselves"


def is_association(url: str) -> bool:
    """Whether an address is that of an association table, by its name."""
    return _NAME.search(url) is not None


def read_association(url: str) -> list[Entry]:
    """Read an association table.

    Parameters
    ----------
    url : str
        Resolved address.

    Returns
    -------
    list of Input or Unusable
        Its exposures (member types ``EXP-*``) in the order of the table, each with the name of
        the product.  A member is looked for beside the table, in the working directory, then
        under ``$DATA_PATH``: FLC before FLT.  A FLT beside its FLC comes after it, to be told.

    Raises
    ------
    InputError
        If the table cannot be read or names no exposure.
    """
    with open_source(url) as source:
        file = scan_source(source)
        table = _table(source, file)
        names, types = _texts(source, table, "MEMNAME"), _texts(source, table, "MEMTYPE")
        present = _flags(source, table, "MEMPRSNT")
    members = [
        (name, there)
        for name, kind, there in zip(names, types, present, strict=True)
        if kind.upper().startswith("EXP") and name
    ]
    if not members:
        raise InputError(url, "no exposure (EXP-*) among its members", remedy=_REMEDY)
    product = _product(names, types)
    if product is not None and not _MEMBER.match(product):
        log.warning("%s: product %r is no name: it is not used", url, product)
        product = None
    return [
        entry
        for name, there in members
        for entry in _with_twin(_member(url, name.lower(), product, there))
    ]


def _with_twin(member: Entry) -> list[Entry]:
    """Add the FLT that lies beside a FLC."""
    twin = _FLC.sub(r"_flt.fits\1", member.url)
    if isinstance(member, Unusable) or twin == member.url or is_remote(twin) or not is_there(twin):
        return [member]
    return [member, replace(member, url=twin)]


def _member(url: str, name: str, product: str | None, there: bool) -> Entry:
    """Find a member; a table must not lead to files elsewhere, or to the network."""
    if not _MEMBER.match(name):
        problem = f"member {name!r} is no name of an exposure"
        return Unusable(f"{url} ({name})", InputError(url, problem, remedy=_REMEDY))
    (here, beside), far = usual_folders(url, name)
    root, _, suffix = name.partition("_")
    found = find_file(f"{root}_{suffix}.fits" if suffix else root, (beside, here, *far))
    if found is None:
        note = "" if there else ", nor was it there when the association was made"
        return missing(name, url, f"member {name.upper()}", note)
    return Input(found, product=product, origin=f"{url} (member {name.upper()})")


def _product(names: list[str], types: list[str]) -> str | None:
    """Name of the dithered product, else of the first."""
    products = [(t.upper(), n.lower()) for n, t in zip(names, types, strict=True)]
    products = [(t, n) for t, n in products if t.startswith("PROD")]
    dithered = [n for t, n in products if t == "PROD-DTH"]
    return next(iter(dithered or [n for _, n in products]), None)


def _table(source: ByteSource, file: FitsFile) -> Hdu:
    for hdu in file.hdus:
        if hdu.header.get("XTENSION") == "BINTABLE" and _column(hdu, "MEMNAME") is not None:
            if len(hdu.shape) != 2 or math.prod(hdu.shape) > _MAX_BYTES:
                raise InputError(source.url, "a broken table", ext=hdu.label, remedy=_REMEDY)
            return hdu
    raise InputError(source.url, "there is no table with a column MEMNAME", remedy=_REMEDY)


def _column(hdu: Hdu, name: str) -> tuple[int, int] | None:
    """First byte and width of a column, or None."""
    start = 0
    fields = hdu.header.get("TFIELDS")
    for number in range(1, (fields if isinstance(fields, int) else 0) + 1):
        match = _FORMAT.match(str(hdu.header.get(f"TFORM{number}", "")))
        if match is None:
            return None  # where the next column starts is not known
        width = int(match[1] or 1) * _WIDTH[match[2]]
        if str(hdu.header.get(f"TTYPE{number}", "")).strip().upper() == name:
            return start, width
        start += width
    return None


def _bytes(source: ByteSource, hdu: Hdu, name: str) -> NDArray[np.uint8] | None:
    """Bytes of a column, shape (rows, width)."""
    column = _column(hdu, name)
    if column is None:
        return None
    rows, width = hdu.shape
    raw = source.read(hdu.data_offset, rows * width, ext=hdu.label)
    start, count = column
    return np.frombuffer(raw, np.uint8).reshape(rows, width)[:, start : start + count]


def _texts(source: ByteSource, hdu: Hdu, name: str) -> list[str]:
    cells = _bytes(source, hdu, name)
    if cells is None:
        raise InputError(source.url, f"no column {name}", ext=hdu.label, remedy=_REMEDY)
    return [bytes(cell).split(b"\0")[0].decode("latin-1").strip() for cell in cells]


def _flags(source: ByteSource, hdu: Hdu, name: str) -> list[bool]:
    """Logical column; true where the table has none."""
    cells = _bytes(source, hdu, name)
    if cells is None:
        return [True] * hdu.shape[0]
    return [bytes(cell[:1]) not in (b"F", b"\0") for cell in cells]
