"""How an exposure is tied to the sky, by what the header of its WCS says.

So files that others have aligned (the archive's single-visit FLT and FLC, with their WCSNAME,
figures of the fit and cosmic-ray flags) can be used as they are, and it is known how far to trust
them.  Not here: fitting; what is done with an exposure without a tie.

Source: facts of the archive's headers; the order of preference is that of HAP's quality analysis.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from hapdask.astrometry.headers.names import FITTED
from hapdask.observe.cards import Cards, number_of
from hapdask.observe.record import ExposureRecord
from hapdask.observe.selection import Verdict

#: A fit to a catalog; a fit to other exposures alone; a guide-star catalog's correction of the
#: pointing; the pointing as it was; nothing that is known.
Kind = Literal["fitted", "relative", "a priori", "pointing", "unknown"]

_FIT = re.compile(r"FIT_([A-Z]+)_(.+)$")
#: Catalogs from the best to the worst, as HAP's quality analysis ranks them.
_CATALOGS = ("GAIAEDR3", "GAIADR3", "GAIADR2", "GAIADR1", "GSC242", "2MASS")
_APRIORI = ("HSC30", "GSC240")
_LABELS = ("SVM", "MVM", "REL", "EVM", "IMG")
#: Typical error of a corrected pointing, mas, where no fit tells its own.
_APRIORI_MAS = 100.0


@dataclass(frozen=True, slots=True)
class Tie:
    """What ties an exposure to the sky.

    Attributes
    ----------
    kind : {"fitted", "relative", "a priori", "pointing", "unknown"}
    label : str
        How it was fitted (``SVM``, ``REL``, ...); empty where it was not.
    catalog : str
        Reference catalog; empty where there is none.
    matches : int
        Sources of the fit; 0 where the header does not say.
    rms_mas : tuple of float or None
        Of the fit, RA and Dec.
    geometry : str
        Of the fit.
    """

    kind: Kind
    label: str = ""
    catalog: str = ""
    matches: int = 0
    rms_mas: tuple[float, float] | None = None
    geometry: str = ""

    @property
    def error_mas(self) -> float | None:
        """Statistical error of the whole exposure per axis, mas, where it can be told."""
        if self.kind == "a priori":
            return _APRIORI_MAS
        if self.kind != "fitted" or self.rms_mas is None or self.matches < 2:
            return None
        return math.hypot(*self.rms_mas) / math.sqrt(2.0 * self.matches)

    @property
    def verified(self) -> bool:
        """Whether a fit with figures of its own ties it to a catalog."""
        return self.kind == "fitted" and self.error_mas is not None

    @property
    def rank(self) -> int:
        """Preference among ties: the less the better."""
        kinds: tuple[Kind, ...] = ("fitted", "relative", "a priori", "pointing", "unknown")
        order = _APRIORI if self.kind == "a priori" else _CATALOGS
        within = _index(order, self.catalog.upper()) * 10 + _index(_LABELS, self.label)
        return 1000 * kinds.index(self.kind) + within

    def __str__(self) -> str:
        """Tell it in words."""
        if self.kind == "pointing":
            return "as the telescope pointed, not aligned"
        if self.kind == "unknown":
            return "not known"
        if self.kind == "a priori":
            return f"pointing corrected by {self.catalog}, not aligned"
        figures = [f"{self.matches} matches"] if self.matches else []
        if self.rms_mas is not None:
            figures.append("rms {:.1f} x {:.1f} mas".format(*self.rms_mas))
        figures += [self.geometry] if self.geometry else []
        told = f": {', '.join(figures)}" if figures else ""
        how = FITTED.get(self.label, "aligned to")
        return f"{how} {self.catalog or 'other exposures'}{told}"


def tie_of(record: ExposureRecord) -> Tie:
    """Tell what ties an exposure to the sky, by its WCSNAME and the cards of its first chip.

    Parameters
    ----------
    record : ExposureRecord
        Not stripped; as it was opened, or with what is known of its new WCS (`with_facts`).

    Examples
    --------
    >>> str(Tie("fitted", "SVM", "GAIAeDR3", 381, (2.28, 2.37), "rscale"))
    'aligned by visit to GAIAeDR3: 381 matches, rms 2.3 x 2.4 mas, rscale'
    """
    name = record.wcsname.strip()
    base, _, basis = name.partition("-")
    told: Cards = dict(record.chips[0].keywords) if record.chips else {}
    found = _FIT.match(basis or name)
    if found is not None:
        return _fit(found[1].upper(), found[2], told)
    if basis:
        known = basis.upper() in _APRIORI
        return Tie("a priori" if known else "unknown", catalog=basis if known else "")
    known = base.upper().startswith(("IDC_", "OPUS"))
    return Tie("pointing" if known else "unknown")


def judge_tie(record: ExposureRecord, limit_mas: float = 20.0) -> Verdict:
    """Judge whether an exposure is tied well enough to enter a mosaic of several visits.

    Parameters
    ----------
    record : ExposureRecord
        As for `tie_of`.
    limit_mas : float
        Largest error of its position, per axis; half a pixel of the fine grid.

    Returns
    -------
    Verdict
        Its own, with a warning that tells the tie where it is not verified or not good enough.
    """
    tie = tie_of(record)
    if not tie.verified:
        return record.verdict.warned(
            f"no verified tie to the sky: {tie}", "WCSNAME", record.wcsname
        )
    if tie.error_mas is not None and tie.error_mas > limit_mas:
        told = f"its position is not better known than {tie.error_mas:.0f} mas: {tie}"
        return record.verdict.warned(told, "WCSNAME", record.wcsname)
    return record.verdict


def _fit(label: str, catalog: str, told: Cards) -> Tie:
    rms = number_of(told, "RMS_RA"), number_of(told, "RMS_DEC")
    matches = number_of(told, "NMATCHES") or number_of(told, "NMATCH") or 0.0
    pair = None if rms[0] is None or rms[1] is None or min(rms[0], rms[1]) < 0 else (rms[0], rms[1])
    is_relative = catalog.upper() in ("NONE", "")
    return Tie(
        "relative" if is_relative else "fitted",
        label,
        "" if is_relative else catalog,
        int(matches),
        pair,
        str(told.get("FITGEOM") or "").strip(),
    )


def _index(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)
