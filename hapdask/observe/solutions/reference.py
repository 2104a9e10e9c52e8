"""Distortion from reference tables (IDCTAB, NPOLFILE, D2IMFILE, ...), for files without any.

stwcs computes it, on a hollow copy: the headers of PRIMARY and SCI with pixels that take no room
on disk, beside copies of the tables, in a temporary folder.  Neither the environment nor the
working directory changes.  The result is kept in the cache under a hash of all that went in.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import math
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

from hapdask.errors import InputError
from hapdask.observe.cache import keep, open_cached
from hapdask.observe.fits import FitsFile, Hdu, scan_source
from hapdask.observe.inputs.finding import find_file
from hapdask.observe.solutions.cards import MODELS, TABLES, Solution
from hapdask.observe.solutions.headerlets import read_tables
from hapdask.observe.source import ByteSource, memory_source, open_source

log = logging.getLogger(__name__)

_BYTES = b"BITPIX  =                    8"  # always the second card
_UNSAFE = re.compile(r"[^\w.-]")
_KIND: Final = "wcs"
_RESULT = "wcs.fits"
_NONE = ("", "N/A")
_MAX_TABLE = 1 << 29  # the largest, an old DGEOFILE, has 134 MB
_FETCH = "fetch the table again from https://hst-crds.stsci.edu"
_lock = threading.Lock()  # stwcs sets its loggers while it works


@dataclass(frozen=True)
class References:
    """Where reference tables lie.

    Attributes
    ----------
    folder : str or None
        Searched first; then, as everywhere in Hubble's software, the folder that an environment
        variable such as ``jref`` names for a table ``jref$...``.
    """

    folder: str | None = None

    def apply_to(self, file: FitsFile) -> bool:
        """Whether tables are to be looked for: a folder is given, or the environment names one."""
        idctab = _names(file).get("IDCTAB", "")
        return self.folder is not None or bool(_folder_of_prefix(idctab))

    def solve(self, source: ByteSource, file: FitsFile) -> Solution:
        """Make the WCS of a file from its reference tables.

        Parameters
        ----------
        source : ByteSource
            The exposure, open.
        file : FitsFile
            Its scan.

        Raises
        ------
        InputError
            If a table that the header names is nowhere, or stwcs fails.
        """
        tables = {key: self._find(file, key, name) for key, name in _names(file).items()}
        if "IDCTAB" not in tables:
            raise InputError(
                file.path,
                "its header names no IDCTAB, so that its distortion cannot be looked up",
                ext="PRIMARY",
                remedy="write the name of the table into IDCTAB",
            )
        parts = [file.hdus[0], *(hdu for hdu in file.hdus if hdu.name == "SCI")]
        headers = [source.read(h.header_offset, h.data_offset - h.header_offset) for h in parts]
        contents = {key: _content(url) for key, url in tables.items()}
        digest = _digest(headers, tables, contents)
        with _lock:
            cached = open_cached(_KIND, digest, _RESULT)
            if cached is None:
                cached = _solve(file, parts, headers, tables, contents, digest)
        with cached:
            return _load(memory_source(cached.name, cached.read()), _names(file))

    def _find(self, file: FitsFile, key: str, name: str) -> str:
        bare = _bare(name)
        folders = [f for f in (self.folder, _folder_of_prefix(name)) if f]
        found = find_file(bare, folders)
        if found is None:
            raise InputError(
                file.path,
                f"its reference table {key} = {name} is not in {' or '.join(folders)}",
                ext="PRIMARY",
                remedy=f"put {bare} (or {bare}.gz) there; "
                f"https://hst-crds.stsci.edu/unchecked_get/references/hst/{bare} has it",
            )
        return found


def _names(file: FitsFile) -> dict[str, str]:
    """Tables that stwcs will read, by keyword."""
    primary = file.hdus[0].header
    keys = ["IDCTAB", "NPOLFILE", "D2IMFILE"]
    if primary.get("INSTRUME") == "WFPC2":
        keys += ["OFFTAB", "DGEOFILE"]
    names = {key: str(primary.get(key) or "").strip() for key in keys}
    if "DGEOFILE" in names:
        if names["DGEOFILE"].upper() in _NONE:  # stwcs keeps the name when it has converted it
            names["DGEOFILE"] = str(primary.get("ODGEOFIL") or "").strip()
        if names["DGEOFILE"].upper() not in _NONE:
            del names["D2IMFILE"]  # it is made from that one
    return {key: name for key, name in names.items() if name.upper() not in _NONE}


def _bare(name: str) -> str:
    """Name of a table alone: headers must not lead to files elsewhere, or to the network."""
    return re.split(r"[$/]", name)[-1]


def _folder_of_prefix(name: str) -> str:
    prefix, dollar, _ = name.partition("$")
    return os.environ.get(prefix, "") if dollar else ""


def _content(url: str) -> bytes:
    with open_source(url) as source:
        if source.size > _MAX_TABLE:
            raise InputError(url, f"{source.size} bytes: no reference table", remedy=_FETCH)
        return source.read(0, source.size)


def _digest(headers: list[bytes], tables: Mapping[str, str], contents: Mapping[str, bytes]) -> str:
    import stwcs

    digest = hashlib.sha256(str(stwcs.__version__).encode())
    for header in headers:
        digest.update(header)
    for key in sorted(tables):
        digest.update(f"{key} {_base(tables[key])}".encode())
        digest.update(hashlib.sha256(contents[key]).digest())
    return digest.hexdigest()[:40]


def _base(url: str) -> str:
    return url.rpartition("/")[2].removesuffix(".gz")


def _solve(
    file: FitsFile,
    parts: list[Hdu],
    headers: list[bytes],
    tables: Mapping[str, str],
    contents: Mapping[str, bytes],
    digest: str,
) -> BinaryIO:
    """Let stwcs work on a hollow copy; keep headers and tables of what comes out."""
    from astropy.io import fits

    with tempfile.TemporaryDirectory(prefix="hapdask-") as folder:
        paths = {key: Path(folder, _base(url)) for key, url in tables.items()}
        for key, path in paths.items():
            path.write_bytes(contents[key])
        # stwcs names the table that it makes of a DGEOFILE, and the distortion, after the file
        hollow = Path(folder, _UNSAFE.sub("_", _base(file.path)).removesuffix(".fits") + ".fits")
        _write_hollow(hollow, parts, headers)
        try:
            with fits.open(hollow, mode="update", output_verify="ignore") as hdus:
                _update(hdus, {key: str(path) for key, path in paths.items()})
                result = _small(hdus, folder, _names(file))
                packed = io.BytesIO()
                result.writeto(packed, output_verify="silentfix")
            return keep(_KIND, digest, _RESULT, [packed.getvalue()])
        except (
            *(OSError, LookupError, ValueError, TypeError, AttributeError),
            *(ArithmeticError, AssertionError, RuntimeError, fits.VerifyError),
        ) as error:  # stwcs meets broken headers and tables with any of these
            raise InputError(
                file.path,
                f"no distortion could be made from its reference tables: {error!r}",
                ext="PRIMARY",
                remedy="check the tables: " + ", ".join(_base(url) for url in tables.values()),
            ) from error


def _write_hollow(path: Path, parts: list[Hdu], headers: list[bytes]) -> None:
    """Write headers and room for one byte a pixel; the file system keeps no zeros."""
    with open(path, "wb") as file:
        for hdu, header in zip(parts, headers, strict=True):
            file.write(header[:80] + _BYTES.ljust(80) + header[160:])
            size = math.prod(hdu.shape) if hdu.shape else 0
            file.seek(-(-size // 2880) * 2880, os.SEEK_CUR)
        file.truncate()


def _update(hdus: Any, paths: Mapping[str, str]) -> None:
    """Run stwcs on open HDUs, with its tables at these paths."""
    from stwcs.updatewcs import updatewcs

    primary = hdus[0].header
    for key in ("ODGEOFIL", "D2IMFILE", "NPOLFILE"):
        if key not in paths and key in primary:
            del primary[key]
    primary.update(paths)
    logger = logging.getLogger("stwcs.updatewcs")
    level = logger.level
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(_Chatter(sys.stdout)):
            warnings.simplefilter("ignore")  # of cards that stwcs knows and astropy does not
            updatewcs(hdus, checkfiles=False, use_db=False)
    finally:
        logger.setLevel(level)


class _Chatter(io.TextIOBase):
    """Standard output: this thread's lines go to the log, others' to where they went."""

    def __init__(self, usual: TextIO) -> None:
        self._usual, self._mine = usual, threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() != self._mine:
            return self._usual.write(text)
        if text.strip():
            log.info("stwcs: %s", text.strip())
        return len(text)

    def flush(self) -> None:
        self._usual.flush()


def _small(hdus: Any, folder: str, names: Mapping[str, str]) -> Any:
    """Keep headers of PRIMARY and SCI, without pixels, and the tables."""
    from astropy.io import fits

    originals = {_base(_bare(name)): name for name in names.values()}
    small = fits.HDUList([fits.PrimaryHDU(header=hdus[0].header)])
    for hdu in hdus[1:]:
        if hdu.name == "SCI":
            small.append(fits.ImageHDU(header=hdu.header))
        elif hdu.name in TABLES:
            small.append(fits.ImageHDU(hdu.data, hdu.header))
    for hdu in small:
        for key, value in hdu.header.items():
            if isinstance(value, str) and value.startswith(folder):
                hdu.header[key] = originals.get(_base(value), _base(value))
    return small


def _load(source: ByteSource, names: Mapping[str, str]) -> Solution:
    file = scan_source(source)
    primary = file.hdus[0].header
    chips = {hdu.extver: hdu.header for hdu in file.hdus if hdu.name == "SCI"}
    kept = {key: primary[key] for key in MODELS if key in primary}
    return Solution({**names, **kept}, chips, read_tables(source, file))
