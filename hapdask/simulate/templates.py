"""The packaged templates: header cards and distortion tables of real exposures.

What lives here: reading ``data/<instrument>_<detector>.txt`` and ``.npz``. Where they come from
is told in ``data/README.md``. No geometry, no editing of cards (see ``geometry``, ``headers``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from astropy.io.fits import Header

FloatTable = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Template:
    """Cards and look-up tables of one real exposure.

    Parameters
    ----------
    name : str
        ``"wfc3_uvis"``, ``"wfc3_ir"`` or ``"acs_wfc"``.
    headers : dict
        FITS header by ``(EXTNAME, EXTVER)``; the primary's key is ``("PRIMARY", 1)``.
        Callers copy before they edit.
    tables : dict
        Distortion tables, float32, by ``("WCSDVARR" | "D2IMARR", EXTVER)``.
    """

    name: str
    headers: dict[tuple[str, int], Header]
    tables: dict[tuple[str, int], FloatTable]

    @property
    def chips(self) -> tuple[int, ...]:
        """EXTVER of each SCI extension, in the file's order."""
        return tuple(ver for name, ver in self.headers if name == "SCI")


@lru_cache(maxsize=8)
def load_template(name: str) -> Template:
    """Read a packaged template (cached).

    Parameters
    ----------
    name : str
        ``"wfc3_uvis"``, ``"wfc3_ir"`` or ``"acs_wfc"``.

    Returns
    -------
    Template
    """
    folder = resources.files("hapdask.simulate").joinpath("data")
    headers = _parse(folder.joinpath(f"{name}.txt").read_text(encoding="ascii"))
    tables: dict[tuple[str, int], FloatTable] = {}
    packed = folder.joinpath(f"{name}.npz")
    if packed.is_file():
        with packed.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            for key in archive.files:
                kind, ver = key.split("_")
                tables[kind, int(ver)] = archive[key]
    return Template(name, headers, tables)


def _parse(text: str) -> dict[tuple[str, int], Header]:
    from astropy.io.fits import Header

    sections: dict[tuple[str, int], list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            name, _, ver = line[2:].partition(" ")
            lines = sections.setdefault((name, int(ver or 1)), [])
        else:
            lines.append(line.ljust(80))
    headers = {key: Header.fromstring("".join(cards)) for key, cards in sections.items()}
    for header in headers.values():  # cards are parsed when first read: do it before threads do
        _ = [card.value for card in header.cards]
    return headers
