"""The catalog service of the Space Telescope Science Institute (GSSS), as upstream uses it.

A question is an address, the answer is CSV: a line with the count, a line of names, the stars.
Proper motions are ours to apply, with their errors and parallaxes, so EPOCH is not sent and the
service returns the positions at the catalog's own epochs (facts/hap.md 3.4b).
"""

from __future__ import annotations

import csv
import math
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from hapdask.astrometry.references.region import Region, bounding_cone, widened_outline
from hapdask.astrometry.references.standard import Answer, standardise
from hapdask.astrometry.references.web import Limits, address, fetch
from hapdask.errors import InputError, ParameterError

if TYPE_CHECKING:
    from astropy.table import Table

#: Upstream's environment variable and the address that it has by default.
VARIABLE = "ASTROMETRIC_CATALOG_URL"
DEFAULT_ROOT = "http://gsss.stsci.edu/webservices"
#: Catalogs whose columns are known, and how each is written in a WCSNAME.
CATALOGS = {
    name.upper(): name
    for name in (
        "GAIAeDR3",
        "GAIADR2",
        "GAIADR1",
        "2MASS",
        "PS1DR2",
        "PS1BEST",
        "GSC242",
        "GSC241",
    )
}
#: Detections that a star of the service must have, as upstream asks.
_MIN_DETECTIONS = 5
#: Columns of errors whose unit the service does not tell: of GSC 2.4 they could be arcsec or mas.
_UNTOLD = ("raErr", "decErr")
#: Errors of GSC 2.4's places, mas: with Gaia's motions they are Gaia's, the rest is from plates.
_WITH_MOTION, _PLATES = 2.0, 200.0
_COUNT = re.compile(r"^\D*?(\d+)\D*$")


@dataclass(frozen=True)
class GsssSource:
    """One catalog of the GSSS service.

    Parameters
    ----------
    catalog : str
        One of `CATALOGS`, in any case.
    root : str
        Address of the service; else that of the environment variable, else STScI's.
    limits : Limits

    Raises
    ------
    ParameterError
        The service's catalogs have no such name.
    """

    catalog: str = "GAIAeDR3"
    root: str = ""
    limits: Limits = field(default_factory=Limits)

    is_remote = True

    def __post_init__(self) -> None:
        if self.catalog.upper() not in CATALOGS:
            known = ", ".join(CATALOGS.values())
            raise ParameterError(f"{self.catalog!r} is no catalog of the service, only {known}")

    @property
    def name(self) -> str:
        """Name of the catalog, as in a WCSNAME."""
        return CATALOGS[self.catalog.upper()]

    def question(self, region: Region) -> str:
        """Address that asks for a region: its outline where that is convex, else a cone.

        Raises
        ------
        ParameterError
            The service's root is not an address.
        """
        root = self.root or os.environ.get(VARIABLE, "").strip() or DEFAULT_ROOT
        place: dict[str, str]
        if outline := widened_outline(region):
            corners = " ".join(f"{a:.6f} {d:.6f}" for a, d in zip(*outline, strict=True))
            place = {"STCS": f"polygon {corners}"}
        else:
            cone = bounding_cone(region)
            place = {"RA": f"{cone.ra:.6f}", "DEC": f"{cone.dec:.6f}", "SR": f"{cone.radius:.6f}"}
        asked = {"FORMAT": "CSV", "CAT": self.catalog.upper(), "MINDET": str(_MIN_DETECTIONS)}
        return address(f"{root.rstrip('/')}/vo/CatalogSearch.aspx", place | asked)

    def ask(self, region: Region) -> Answer:
        """Ask the service.

        Raises
        ------
        InputError
            It fails, is slow, or answers something else than stars.
        """
        url = self.question(region)
        body = fetch(url, self.limits, kind="text/csv")
        table, notes = parse(body, url)
        if self.name.startswith("GSC"):
            notes += _with_safe_errors(table)
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = standardise(table, name=self.name, origin=url, date=date)
        return Answer(answer.catalog, tuple(notes) + answer.notes)


def parse(body: bytes, url: str) -> tuple[Table, list[str]]:
    """Read an answer of the service.

    Parameters
    ----------
    body : bytes
    url : str
        The question, for messages.

    Returns
    -------
    table : astropy Table
        Columns of text.
    notes : list of str
        What was wrong with single lines.

    Raises
    ------
    InputError
        It is an error, a web page, broken off, or no table of stars.
    """
    from astropy.table import Table

    text = body.decode("utf-8-sig", "replace").strip()
    if not text:
        raise InputError(url, "the service answers nothing")
    if text.startswith("<"):
        raise InputError(url, f"the service answers a page, not a table: {_start(text)}")
    if text.lower().startswith("error"):
        raise InputError(url, f"the service says: {_start(text)}")
    lines = [line for line in text.splitlines() if line.strip()]
    top = next((i for i, line in enumerate(lines[:3]) if _is_heading(line)), None)
    counted = _COUNT.match(lines[0]) if "," not in lines[0] else None
    told = int(counted.group(1)) if counted and top != 0 else None
    if top is None and told == 0:
        return Table({"ra": [], "dec": []}), []
    if top is None:
        raise InputError(url, f"the service answers no table of stars: {_start(text)}")
    names, *rows = csv.reader(lines[top:])
    names = [name.strip() for name in names]
    whole = [row for row in rows if len(row) == len(names)]
    if told is not None and len(rows) < told:
        raise InputError(
            url, f"the answer breaks off: {len(rows)} of {told} stars", remedy="try again"
        )
    if len(whole) < 0.5 * len(rows):
        raise InputError(url, "the service answers a table that cannot be read")
    broken = len(rows) - len(whole)
    notes = [f"{broken} lines that are no row of the table dropped"] if broken else []
    columns: dict[str, list[str]] = {}
    for i, name in enumerate(names):
        columns.setdefault(name, [row[i] for row in whole])  # of columns named alike the first
    return Table({name: np.array(values, dtype=np.str_) for name, values in columns.items()}), notes


def _with_safe_errors(table: Table) -> list[str]:
    """Put errors that are safe in place of those in unknown units; an error too small misleads."""
    names = {name.lower(): name for name in table.colnames}
    if not len(table) or "rapm" not in names:
        return []
    motion = np.char.strip(np.asarray(table[names["rapm"]], dtype=np.str_))
    moves = np.array([_is_number(text) for text in motion])
    errors = np.where(moves, _WITH_MOTION, _PLATES).astype(np.str_)
    for name in _UNTOLD:
        table[names.get(name.lower(), name)] = errors
    return [f"errors taken as {_WITH_MOTION:g} mas with a motion, {_PLATES:g} mas without"]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_heading(line: str) -> bool:
    names = {name.strip().lower() for name in line.split(",")}
    return {"ra", "dec"} <= names


def _start(text: str) -> str:
    return " ".join(text[:120].split())
