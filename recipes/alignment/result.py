"""What an alignment gives: the verdict on every exposure, and the records that follow from it.

Not here: how it is found (`run`), files (`writing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from hapdask.astrometry.attempts import Attempt
from hapdask.astrometry.fitting.placement import Placement
from hapdask.astrometry.guiding import Guiding
from hapdask.astrometry.headers.facts import WcsFacts
from hapdask.astrometry.references.catalog import ReferenceCatalog
from hapdask.astrometry.references.finding import Inquiry
from hapdask.astrometry.solution.release import Release
from hapdask.astrometry.solution.solving import Residuals
from hapdask.astrometry.sources import SourceList
from hapdask.config.alignment import AlignmentParameters
from hapdask.config.tweakreg_presets import ResolvedAlignment
from hapdask.observe.record import ExposureRecord
from hapdask.products.alignment.verdicts import exposure_row, verdict_table
from hapdask.recipes.alignment.plain import rounded
from hapdask.recipes.reporting import LeftOut

if TYPE_CHECKING:
    from astropy.table import Table

    from hapdask.recipes.alignment.placing import Placed
    from hapdask.recipes.alignment.writing import Written


@dataclass(frozen=True, eq=False)
class Aligned:
    """One exposure with its verdict.

    Attributes
    ----------
    record : ExposureRecord
        Corrected where the placement says so, with verdict and WCSNAME.
    opened : ExposureRecord
        As it was opened.
    placement : Placement
    facts : WcsFacts or None
        Of its new WCS; None where it keeps the header's.
    sources : SourceList
    guiding : Guiding
    residuals : Residuals or None
        Of the joint solution.
    catalog : ReferenceCatalog or None
        The stars that it was tied to, at its visit's date.
    inquiries : tuple of Inquiry
        What became of the catalogs that were asked.
    """

    record: ExposureRecord
    opened: ExposureRecord
    placement: Placement
    facts: WcsFacts | None
    sources: SourceList
    guiding: Guiding
    residuals: Residuals | None = None
    catalog: ReferenceCatalog | None = None
    inquiries: tuple[Inquiry, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether its sky positions were tied to a catalog."""
        return self.placement.status in ("aligned", "confirmed")

    @property
    def usable(self) -> bool:
        """Whether it may enter a mosaic: one that trails may not."""
        return self.record.verdict.status != "rejected"

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON: figures, reasons, every attempt, every catalog asked."""
        guiding = {name: getattr(self.guiding, name) for name in self.guiding.__dataclass_fields__}
        told = self.row | {
            "guiding": guiding,
            "placement": self.placement.to_dict(),
            "catalogs": [inquiry.to_dict() for inquiry in self.inquiries],
        }
        return {key: rounded(value, key) for key, value in told.items()}

    @property
    def row(self) -> dict[str, Any]:
        """The figures of the verdict, by the columns of the table."""
        return exposure_row(
            self.opened, self.placement, self.guiding, self.facts, len(self.sources)
        )


class Alignment(Sequence[Aligned]):
    """The exposures of an alignment, in the order given.

    Attributes
    ----------
    records : tuple of ExposureRecord
        Those that may be used.
    left_out : tuple of LeftOut
        Inputs that could not be used, and why.
    release : Release or None
        The joint solution.
    fields : tuple of Placed
        Exposures that were aligned as one.
    resolved : mapping of str to ResolvedAlignment
        Parameters by detector, and where each came from.
    seconds : dict of str to float
        Wall time by step.
    asked : bool
        Whether the user named reference stars.
    """

    def __init__(
        self,
        exposures: Sequence[Aligned],
        left_out: Sequence[LeftOut],
        release: Release | None,
        fields: Sequence[Placed],
        resolved: Mapping[str, ResolvedAlignment],
        seconds: dict[str, float],
        *,
        asked: bool = False,
    ) -> None:
        self._exposures = tuple(exposures)
        self.left_out, self.fields = tuple(left_out), tuple(fields)
        self.release, self.resolved, self.seconds = release, dict(resolved), seconds
        self.asked = asked

    @overload
    def __getitem__(self, index: int) -> Aligned: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Aligned, ...]: ...
    def __getitem__(self, index: int | slice) -> Aligned | tuple[Aligned, ...]:
        return self._exposures[index]

    def __len__(self) -> int:
        return len(self._exposures)

    def __repr__(self) -> str:
        count = {s: sum(e.placement.status == s for e in self) for s in self.statuses}
        told = ", ".join(f"{n} {s}" for s, n in count.items())
        lines = [f"<Alignment: {told or 'no exposure'}; {len(self.left_out)} left out"]
        lines += [
            f"  {e.opened.name}: {e.placement.status}, {e.placement.reason}" for e in self[:20]
        ]
        more = [f"  ... and {len(self) - 20} more"] if len(self) > 20 else []
        return "\n".join([*lines, *more]) + ">"

    @property
    def statuses(self) -> tuple[str, ...]:
        """Those that occur, in the order of the exposures."""
        return tuple(dict.fromkeys(e.placement.status for e in self))

    @property
    def lacks_tie(self) -> bool:
        """Whether no exposure is tied to the stars asked for, or to those of a service that failed.

        Where no star is wanted, or ``offline`` says so, nothing is lacking.
        """
        failed = any(i.status == "failed" for e in self for i in e.inquiries)
        return (self.asked or failed) and not any(e.fits for e in self)

    @property
    def records(self) -> tuple[ExposureRecord, ...]:
        """Corrected records of the exposures that may be used."""
        return tuple(e.record for e in self if e.usable)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All that was tried, exposure by exposure."""
        return tuple(
            attempt if attempt.exposure else replace(attempt, exposure=e.opened.name)
            for e in self
            for attempt in e.placement.attempts
        )

    @property
    def verdicts(self) -> Table:
        """One row for each exposure."""
        return verdict_table([e.row for e in self])

    def rules_of(self, exposure: Aligned) -> AlignmentParameters:
        """Rules of matching of an exposure's detector."""
        return self.resolved[f"{exposure.opened.instrument}/{exposure.opened.detector}"].matching

    def named(self, name: str) -> Aligned:
        """Give the exposure of that name; KeyError names those there are."""
        for exposure in self:
            if exposure.opened.name == name:
                return exposure
        known = ", ".join(e.opened.name for e in self)
        raise KeyError(f"{name!r} is not an exposure of this alignment; there are {known}")

    def to_dict(self) -> dict[str, Any]:
        """Make plain data for JSON."""
        return {
            "exposures": [e.to_dict() for e in self],
            "lacks_tie": self.lacks_tie,
            "left_out": [
                {"file": i.file, "reason": i.reason, "remedy": i.remedy} for i in self.left_out
            ],
            "parameters": {
                detector: {"values": resolved.plain(), "origin": resolved.origin}
                for detector, resolved in self.resolved.items()
            },
            "release": self.release
            and {
                "version": self.release.version,
                "digest": self.release.digest,
                "chi_square": self.release.chi_square,
                "freedom": self.release.freedom,
                "notes": list(self.release.notes),
            },
            "seconds": {step: round(value, 3) for step, value in self.seconds.items()},
        }

    def write(self, out: str | Path, **options: Any) -> Written:
        """Write what was found; see `hapdask.recipes.alignment.writing.write_alignment`."""
        from hapdask.recipes.alignment.writing import write_alignment

        return write_alignment(self, out, **options)
