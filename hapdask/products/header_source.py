"""Where the headers of a product come from, besides its pixels: exposures, parameters, place.

Here: the noun, and how it is made of what a mosaic knows of itself.  Not here: cards (`headers`).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Self

from hapdask.errors import ParameterError
from hapdask.products.header_rules import Kind, Rules, rules_for
from hapdask.products.told import Told, told_of

if TYPE_CHECKING:
    from hapdask.config.parameters import DrizzleParameters
    from hapdask.observe.record import ExposureRecord
    from hapdask.sky.footprint import Footprint
    from hapdask.sky.frame import Frame

#: Attribute of a mosaic in electrons of inputs in counts: electrons per count.
GAIN = "electrons_per_count"
#: HAPLEVEL and whose rules hold; those of an exposure's product are AstroDrizzle's own, which
#: hold for what has no level too.
_KINDS: dict[int | None, Kind] = {1: "exposure", 2: "visit", 4: "cell", None: "exposure"}


@dataclass(frozen=True, kw_only=True)
class HeaderSource:
    """Where the headers of a product come from, besides its pixels.

    Parameters
    ----------
    exposures : tuple of ExposureRecord
        Those that contribute, in input order; not stripped.
    cell : str
        Name of the sky cell, or empty for another frame.
    full_shape : (ny, nx), optional
        Pixels of the whole sky cell, of which NPIXFRAC is a fraction; the product's own if None.
    level : {1, 2, 4, None}
        HAPLEVEL: 1 exposure, 2 visit, 4 sky cell; None for what is no Hubble Advanced Product,
        and has no HAPLEVEL.  Says which rules hold for the headers.
    parameters : Told, optional
        Parameters with which the product was made.
    flux_unit : {"electron / s", "electron", "count / s", "count"}
        Of SCI and ERR.
    gain : float
        Electrons per count by which SCI was multiplied; PHOTFLAM is divided by it.
    date : date, optional
        Written as DATE; today (UTC) if None.
    files : mapping of str to str
        By the name of an exposure, the file that is told as its input; its own if absent.

    Raises
    ------
    ParameterError
        If there is no such level.
    """

    exposures: tuple[ExposureRecord, ...]
    cell: str = ""
    full_shape: tuple[int, int] | None = None
    level: int | None = 4
    parameters: Told | None = None
    flux_unit: str = "electron / s"
    gain: float = 1.0
    date: datetime.date | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.level not in _KINDS:
            levels = ", ".join(f"{level} ({kind})" for level, kind in _KINDS.items() if level)
            raise ParameterError(f"level {self.level!r} is no HAPLEVEL: it must be one of {levels}")

    @classmethod
    def of_mosaic(
        cls,
        attributes: Mapping[str, Any],
        frame: Frame,
        *,
        cell: str = "",
        full_shape: tuple[int, int] | None = None,
    ) -> Self:
        """Make it of what a mosaic says of itself.

        Parameters
        ----------
        attributes : mapping
            Of the Dataset: ``records``, ``parameters``, ``flux_unit``, and more of a run.
        frame : Frame
            Of the product; exposures whose pixels cannot reach it are not named.  They stand in
            order of time, those of a run in its own.
        cell, full_shape
            See `HeaderSource`.

        Raises
        ------
        StoreError
            The parameters in the attributes are damaged.
        """
        told = told_of(attributes)
        records = attributes.get("records") or {}
        return cls(
            exposures=reaching(records.values(), frame, told),
            cell=cell,
            full_shape=full_shape,
            level=4 if told is None or told.hap else None,
            parameters=told,
            flux_unit=str(attributes.get("flux_unit", "electron / s")),
            gain=float(attributes.get(GAIN, 1.0)),
        )

    @property
    def chips(self) -> tuple[tuple[str, int], ...]:
        """Exposure name and EXTVER of every chip, in input order: the bits of CTX."""
        return tuple((e.name, c.extver) for e in self.exposures for c in e.chips)

    @property
    def kind(self) -> Kind:
        """Whose rules hold; an image of several filters in one system has no sensitivity."""
        several = len({exposure.filter for exposure in self.exposures}) > 1
        return "total" if self.level == 2 and several and self.flux_scaled else _KINDS[self.level]

    @property
    def flux_scaled(self) -> bool:
        """Whether all chips were brought to one photometric system."""
        return self.parameters is None or self.parameters.flux_scaled

    @cached_property
    def rules(self) -> Rules:
        """Rules for the headers."""
        instrument = self.exposures[0].instrument if self.exposures else ""
        return rules_for(instrument, self.kind)


def reaching(
    exposures: Iterable[ExposureRecord], frame: Frame, parameters: Told | None
) -> tuple[ExposureRecord, ...]:
    """Select the exposures whose pixels can reach a frame, in order of time or of their run.

    Parameters
    ----------
    exposures : iterable of ExposureRecord
    frame : Frame
    parameters : Told or None
        They say how far drops reach beyond a chip's outline; not at all where not known.
    """

    @cache
    def outline(margin: int) -> Footprint:
        return frame.pad(margin).footprint

    drop = None if parameters is None else parameters.drop
    kept = [e for e in exposures if e.footprint.overlaps(outline(_margin(e, frame, drop)))]
    if parameters is None or parameters.hap:
        kept.sort(key=lambda e: (e.expstart, e.name))
    return tuple(kept)


def _margin(exposure: ExposureRecord, frame: Frame, parameters: DrizzleParameters | None) -> int:
    """Pixels by which drops reach beyond the outline, and one more for its rounding."""
    from hapdask.drizzling.inputs import make_drop

    if parameters is None:
        return 1
    halos = [make_drop(chip, frame, parameters).halo for chip in exposure.chips]
    return 1 + math.ceil(max(halos, default=0.0))
